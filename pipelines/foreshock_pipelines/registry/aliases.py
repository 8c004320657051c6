"""Aliases of the versions of a job, and its former champions: one small file, replaced as a whole."""

from __future__ import annotations

import json
from typing import Any

from foreshock_models.errors import RegistryError
from foreshock_pipelines.registry.storage import NAME, Storage

__all__ = ["CHALLENGER", "CHAMPION", "Aliases"]

CHAMPION = "champion"
CHALLENGER = "challenger"
FILE = "aliases.json"
LARGEST_FILE = 2**20
HISTORY = 20
"""Former champions that are kept for `Aliases.roll_back`."""


class Aliases:
    """Aliases of the versions in a storage."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    def of(self, job: str) -> dict[str, str]:
        """Return alias to version."""
        return dict(self._read(job)["aliases"])

    def point(self, job: str, alias: str, version: str) -> None:
        """Let an alias name a version; a former champion is kept for `roll_back`."""
        with self.storage.lock(job):
            document = self._read(job)
            before = document["aliases"].get(alias)
            if alias == CHAMPION and before not in (None, version):
                document["history"] = [*document["history"], before][-HISTORY:]
            document["aliases"][alias] = version
            if alias == CHAMPION and document["aliases"].get(CHALLENGER) == version:
                del document["aliases"][CHALLENGER]
            self._write(job, document)

    def roll_back(self, job: str) -> None:
        """Make the former champion the champion again.

        Raises
        ------
        RegistryError
            There was none, or it was removed.
        """
        with self.storage.lock(job):
            document = self._read(job)
            versions = self.storage.versions(job)
            past = [version for version in document["history"] if version in versions]
            if not past or CHAMPION not in document["aliases"]:
                raise RegistryError(f"the job {job!r} has no earlier champion to go back to")
            now = document["aliases"][CHAMPION]
            document["aliases"][CHAMPION] = past[-1]
            document["history"] = [version for version in past[:-1] if version != now]
            self._write(job, document)

    def _read(self, job: str) -> dict[str, Any]:
        try:
            document: dict[str, Any] = json.loads(self.storage.read_file(job, FILE, LARGEST_FILE))
        except FileNotFoundError:
            return {"aliases": {}, "history": []}
        except (OSError, ValueError, RecursionError) as exc:
            raise RegistryError(f"{self.storage.shown}/{job}/{FILE} cannot be read: {exc}") from exc
        if not _is_document(document):
            raise RegistryError(f"{self.storage.shown}/{job}/{FILE}: aliases and history must name versions")
        return document

    def _write(self, job: str, document: dict[str, Any]) -> None:
        self.storage.write_file(job, FILE, json.dumps(document, indent=1).encode())


def _is_document(value: Any) -> bool:
    """Return true for a JSON value that names versions under aliases, and those before."""
    if not isinstance(value, dict) or not isinstance(value.get("aliases"), dict):
        return False
    names = [*value["aliases"], *value["aliases"].values()]
    history = value.get("history")
    if not isinstance(history, list):
        return False
    return all(isinstance(name, str) and NAME.fullmatch(name) is not None for name in [*names, *history])
