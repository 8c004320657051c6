"""A folder of model versions, on local disk or any filesystem that pyarrow has a URI for.

::

    <root>/<job>/<version>/manifest.json, *.safetensors
    <root>/<job>/aliases.json

A version is there from the moment its manifest is: locally the whole folder appears by one rename, elsewhere the
manifest is uploaded last. Aliases change by replacing one small file.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import fs

from foreshock_models.artifacts.manifest import LARGEST_FILE, MANIFEST, SEAL, read_manifest
from foreshock_models.display import frame_html
from foreshock_models.errors import ArtifactError, RegistryError, allowed
from foreshock_pipelines.jobfile.urls import shown_url

if TYPE_CHECKING:
    import pandas as pd

    from foreshock_models.detectors import Detector  # to ask who is champion need not load torch

__all__ = ["CHALLENGER", "CHAMPION", "Model", "Registry"]

CHAMPION = "champion"
CHALLENGER = "challenger"
ALIASES = "aliases.json"
HISTORY = 20
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
"""Names of jobs, versions and aliases: one folder each, nothing that leads out of it."""
LARGEST_ALIASES = 2**20


@dataclass(frozen=True)
class Model:
    """One version of a job's model."""

    job: str
    version: str
    aliases: tuple[str, ...]
    manifest: dict[str, Any]

    @property
    def detector(self) -> str:
        return str(self.manifest["model"]["detector"])

    @property
    def members(self) -> tuple[str, ...]:
        """Names of the detectors in it."""
        return tuple(self.manifest["model"].get("members", {})) or (self.detector,)


class Registry:
    """Models of all jobs.

    Parameters
    ----------
    uri
        A folder, or a URI such as ``s3://bucket/models``.

    Attributes
    ----------
    shown : the same without what lets one in, for messages
    """

    def __init__(self, uri: str | Path) -> None:
        self.uri = str(uri)
        self.shown = shown_url(self.uri) if "://" in self.uri else self.uri
        try:
            if "://" in self.uri:
                self._fs, self.root = fs.FileSystem.from_uri(self.uri)
            else:
                self._fs, self.root = fs.LocalFileSystem(), str(Path(self.uri).expanduser().absolute())
        except (pa.ArrowInvalid, OSError) as exc:
            why = str(exc).replace(self.uri, self.shown)  # it may hold keys
            raise RegistryError(f"{self.shown}: not a folder or filesystem URI of models: {why}") from None
        self._local = isinstance(self._fs, fs.LocalFileSystem)

    # -- reading ---------------------------------------------------------------------------------------
    def jobs(self) -> list[str]:
        """Names of the jobs that have a folder here."""
        return [name for name in self._folders(self.root) if NAME.fullmatch(name)]

    def models(self, job: str) -> list[Model]:
        """All versions of a job's model, the newest first; damaged ones are left out."""
        aliases = self._aliases(job)
        found = []
        for version in sorted(self._versions(job), reverse=True):
            with contextlib.suppress(ArtifactError):
                found.append(self._model(job, version, aliases))
        return found

    def get(self, job: str, which: str = CHAMPION) -> Model:
        """One version, by alias or name.

        Raises
        ------
        RegistryError
            The job has no model, or none of that name.
        """
        aliases = self._aliases(job)
        version = aliases.get(which, which)
        try:
            if NAME.fullmatch(version):
                return self._model(job, version, aliases)
        except ArtifactError as exc:
            if version in self._versions(job):
                raise RegistryError(str(exc)) from exc
        versions = sorted(self._versions(job))
        if not versions:
            raise RegistryError(
                f"the job {job!r} has no model in {self.shown} yet: run foreshock train -c JOB.yaml"
            )
        raise RegistryError(f"the job {job!r} has no model {which!r}; {allowed(which, [*versions, *aliases])}")

    def champion(self, job: str) -> str | None:
        """Version that serves, or None: cheap enough to ask often."""
        return self._aliases(job).get(CHAMPION)

    def load(self, job: str, which: str = CHAMPION) -> tuple[Detector, Model]:
        """A model, checked byte for byte. Errors: see `get`, and ArtifactError for a damaged one."""
        from foreshock_models.artifacts import load

        model = self.get(job, which)
        with self._folder(job, model.version) as folder:
            return load(folder), model

    # -- writing ---------------------------------------------------------------------------------------
    def publish(
        self, detector: Detector, job: str, extra: dict[str, Any] | None = None, *, alias: str | None = CHAMPION
    ) -> Model:
        """Add a version; nobody sees it before it is complete.

        Parameters
        ----------
        alias
            What to call it at once; None for no name.
        """
        from foreshock_models.artifacts import save

        version = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"[:-3] + f"-{secrets.token_hex(2)}"
        home = self._home(job)
        if alias is not None:
            _check("alias", alias)
        try:
            self._fs.create_dir(home, recursive=True)
            if self._local:
                part = Path(home) / f".part-{version}"
                save(detector, part, extra)
                self._narrow(Path(home), part, *part.iterdir())
                os.rename(part, Path(home) / version)
                _sync(Path(home))
            else:
                self._upload(detector, extra, f"{home}/{version}")
        except (OSError, pa.ArrowException) as exc:
            raise RegistryError(f"{self.shown}: the model of {job!r} could not be published: {exc}") from exc
        if alias is not None:
            self._point(job, alias, version)
        return self.get(job, version)

    def promote(self, job: str, which: str = CHALLENGER) -> Model:
        """Make a version the champion; the one before is kept for `rollback`."""
        model = self.get(job, which)
        self._point(job, CHAMPION, model.version)
        return self.get(job)

    def rollback(self, job: str) -> Model:
        """Make the champion before this one the champion again.

        Raises
        ------
        RegistryError
            There was none, or it was removed.
        """
        with self._lock(job):
            document = self._document(job)
            past = [v for v in document["history"] if v in self._versions(job)]
            if not past or CHAMPION not in document["aliases"]:
                raise RegistryError(f"the job {job!r} has no earlier champion to go back to")
            now = document["aliases"][CHAMPION]
            document["aliases"][CHAMPION] = past[-1]
            document["history"] = [v for v in past[:-1] if v != now]
            self._write(job, document)
        return self.get(job)

    def prune(self, job: str, keep: int = 10) -> list[str]:
        """Remove old versions that no alias names; gives their names. Leftovers of dead publishes go too."""
        aliases = set(self._aliases(job).values())
        gone = [m.version for m in self.models(job)[keep:] if m.version not in aliases]
        home = Path(self._home(job))
        for version in gone:
            if self._local:  # out of sight first: a version is seen whole or not at all
                os.rename(home / version, home / f".gone-{version}")
            else:
                self._fs.delete_file(f"{self._home(job)}/{version}/{MANIFEST}")
                self._fs.delete_dir(f"{self._home(job)}/{version}")
        if self._local:
            for left in home.glob(".gone-*"):
                shutil.rmtree(left, ignore_errors=True)
            for part in home.glob(".part-*"):
                if datetime.now().timestamp() - part.stat().st_mtime > 86400:
                    shutil.rmtree(part, ignore_errors=True)
        return gone

    def remove(self, job: str) -> None:
        """Remove all versions of a job, and what is known of them; a reader sees all of it, or nothing."""
        home = Path(self._home(job))
        if not self._local:
            self._fs.delete_dir(self._home(job))
            return
        gone = home.with_name(f".gone-{job}-{os.getpid()}")
        os.rename(home, gone)
        shutil.rmtree(gone)

    def to_pandas(self) -> pd.DataFrame:
        """One row per version of every job's model, the newest first."""
        import pandas as pd

        columns = ["job", "version", "aliases", "detectors", "trained_until"]
        rows = [
            (
                model.job,
                model.version,
                ", ".join(model.aliases),
                ", ".join(model.members),
                model.manifest.get("training", {}).get("end"),
            )
            for job in self.jobs()
            for model in self.models(job)
        ]
        return pd.DataFrame(rows, columns=columns)

    def __repr__(self) -> str:
        return f"Registry({self.shown!r})"

    def _repr_html_(self) -> str:
        table = self.to_pandas()
        return frame_html(f"{len(table)} models of {table['job'].nunique()} jobs", table)

    # -- inside ----------------------------------------------------------------------------------------
    def _folders(self, path: str) -> list[str]:
        found = self._fs.get_file_info(fs.FileSelector(path, allow_not_found=True))
        return [f.base_name for f in found if f.type == fs.FileType.Directory and not f.base_name.startswith(".")]

    def _home(self, job: str) -> str:
        """Path of a job's folder."""
        _check("job", job)
        return f"{self.root}/{job}"

    def _versions(self, job: str) -> list[str]:
        return [name for name in self._folders(self._home(job)) if NAME.fullmatch(name)]

    def _model(self, job: str, version: str, aliases: dict[str, str]) -> Model:
        with self._folder(job, version, only_manifest=True) as folder:
            manifest = read_manifest(folder)
        return Model(job, version, tuple(a for a, v in aliases.items() if v == version), manifest)

    @contextlib.contextmanager
    def _folder(self, job: str, version: str, *, only_manifest: bool = False) -> Iterator[Path]:
        """A local folder with the files of a version."""
        path = f"{self._home(job)}/{version}"
        if self._local:
            yield Path(path)
            return
        with tempfile.TemporaryDirectory() as name:
            try:
                for file in self._fs.get_file_info(fs.FileSelector(path, allow_not_found=True)):
                    if not only_manifest or file.base_name in (MANIFEST, SEAL):
                        self._download(file, Path(name))
            except OSError as exc:
                raise RegistryError(f"{self.shown}: {job}/{version} cannot be read: {exc}") from exc
            yield Path(name)

    def _download(self, file: fs.FileInfo, to: Path) -> None:
        if file.type != fs.FileType.File or (file.size or 0) > LARGEST_FILE:
            raise ArtifactError(f"{file.path}: not a plain file of at most {LARGEST_FILE:,} bytes")
        with self._fs.open_input_file(file.path) as source:
            (to / Path(file.base_name).name).write_bytes(source.readall())

    def _upload(self, detector: Detector, extra: dict[str, Any] | None, to: str) -> None:
        from foreshock_models.artifacts import save

        with tempfile.TemporaryDirectory() as name:
            save(detector, Path(name), extra)
            files = sorted(Path(name).iterdir(), key=lambda file: file.name == "manifest.json")
            for file in files:
                with self._fs.open_output_stream(f"{to}/{file.name}") as out:
                    out.write(file.read_bytes())

    def _aliases(self, job: str) -> dict[str, str]:
        return dict(self._document(job)["aliases"])

    def _document(self, job: str) -> dict[str, Any]:
        path = f"{self._home(job)}/{ALIASES}"
        try:
            with self._fs.open_input_file(path) as file:
                if file.size() > LARGEST_ALIASES:
                    raise ValueError(f"larger than {LARGEST_ALIASES:,} bytes")
                document: dict[str, Any] = json.loads(file.readall())
        except FileNotFoundError:
            return {"aliases": {}, "history": []}
        except (OSError, ValueError, RecursionError) as exc:
            raise RegistryError(f"{self.shown}/{job}/{ALIASES} cannot be read: {exc}") from exc
        if not _is_document(document):
            raise RegistryError(f"{self.shown}/{job}/{ALIASES}: aliases and history must name versions")
        return document

    def _point(self, job: str, alias: str, version: str) -> None:
        with self._lock(job):
            document = self._document(job)
            before = document["aliases"].get(alias)
            if alias == CHAMPION and before not in (None, version):
                document["history"] = [*document["history"], before][-HISTORY:]
            document["aliases"][alias] = version
            if alias == CHAMPION and document["aliases"].get(CHALLENGER) == version:
                del document["aliases"][CHALLENGER]
            self._write(job, document)

    def _write(self, job: str, document: dict[str, Any]) -> None:
        data = json.dumps(document, indent=1).encode()
        path = f"{self._home(job)}/{ALIASES}"
        if self._local:
            part = Path(f"{path}.part")
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self._narrow(part)
            os.replace(part, path)
        else:
            with self._fs.open_output_stream(path) as out:
                out.write(data)

    def _narrow(self, *paths: Path) -> None:
        """Let nobody do more with what is in the registry than with its root folder."""
        most = Path(self.root).stat().st_mode
        for path in paths:
            found = path.stat()
            if found.st_mode & ~most & 0o777 and found.st_uid == os.getuid():
                path.chmod(found.st_mode & most & 0o777)

    @contextlib.contextmanager
    def _lock(self, job: str) -> Iterator[None]:
        """One writer of aliases at a time, on local disk; elsewhere the last one wins."""
        home = Path(self._home(job))
        if not self._local:
            yield
            return
        home.mkdir(parents=True, exist_ok=True)
        path = home / ".lock"
        with path.open("w") as file:
            self._narrow(path)
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _check(kind: str, name: str) -> None:
    """Refuse a name that could lead out of the registry."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise RegistryError(
            f"{str(name)[:100]!r} is not a valid name of a {kind}: up to 128 letters, digits and . _ -, "
            "the first a letter, digit or _"
        )


def _is_document(value: Any) -> bool:
    """Return true for a JSON value that names versions under aliases, and those before."""
    if not isinstance(value, dict) or not isinstance(value.get("aliases"), dict):
        return False
    names = [*value["aliases"], *value["aliases"].values()]
    history = value.get("history")
    if not isinstance(history, list):
        return False
    return all(isinstance(name, str) and NAME.fullmatch(name) is not None for name in [*names, *history])


def _sync(folder: Path) -> None:
    """Force a rename to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
