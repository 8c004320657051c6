"""The registry of models: versions and aliases.

::

    <root>/<job>/<version>/manifest.json, *.safetensors
    <root>/<job>/aliases.json
"""

from __future__ import annotations

import contextlib
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foreshock_models.artifacts.manifest import read_manifest
from foreshock_models.display import frame_html
from foreshock_models.errors import ArtifactError, RegistryError, allowed
from foreshock_pipelines.registry.aliases import CHALLENGER, CHAMPION, Aliases
from foreshock_pipelines.registry.model import Model
from foreshock_pipelines.registry.storage import NAME, Storage, check_name

if TYPE_CHECKING:
    import pandas as pd

    from foreshock_models.detectors import Detector  # to ask who is champion need not load torch

__all__ = ["Registry"]


class Registry:
    """Models of all jobs.

    Parameters
    ----------
    uri
        A folder, or a URI such as ``s3://bucket/models``.
    """

    def __init__(self, uri: str | Path) -> None:
        self.uri = str(uri)
        self.storage = Storage(uri)
        self.aliases = Aliases(self.storage)

    def jobs(self) -> list[str]:
        """Return the names of the jobs that have models."""
        return self.storage.jobs()

    def models(self, job: str) -> list[Model]:
        """All versions of a job's model, the newest first; damaged ones are left out."""
        aliases = self.aliases.of(job)
        found = []
        for version in sorted(self.storage.versions(job), reverse=True):
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
        aliases = self.aliases.of(job)
        version = aliases.get(which, which)
        try:
            if NAME.fullmatch(version):
                return self._model(job, version, aliases)
        except ArtifactError as exc:
            if version in self.storage.versions(job):
                raise RegistryError(str(exc)) from exc
        versions = sorted(self.storage.versions(job))
        if not versions:
            raise RegistryError(
                f"the job {job!r} has no model in {self.storage.shown} yet: run foreshock train -c JOB.yaml"
            )
        raise RegistryError(f"the job {job!r} has no model {which!r}; {allowed(which, [*versions, *aliases])}")

    def champion(self, job: str) -> str | None:
        """Version that serves, or None: cheap enough to ask often."""
        return self.aliases.of(job).get(CHAMPION)

    def load(self, job: str, which: str = CHAMPION) -> tuple[Detector, Model]:
        """A model, checked byte for byte. Errors: see `get`, and ArtifactError for a damaged one."""
        from foreshock_models.artifacts import load

        model = self.get(job, which)
        with self.storage.open_version(job, model.version) as folder:
            return load(folder), model

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
        if alias is not None:
            check_name("alias", alias)
        self.storage.add_version(job, version, lambda folder: save(detector, folder, extra))
        if alias is not None:
            self.aliases.point(job, alias, version)
        return self.get(job, version)

    def promote(self, job: str, which: str = CHALLENGER) -> Model:
        """Make a version the champion; the one before is kept for `rollback`."""
        model = self.get(job, which)
        self.aliases.point(job, CHAMPION, model.version)
        return self.get(job)

    def rollback(self, job: str) -> Model:
        """Make the champion before this one the champion again.

        Raises
        ------
        RegistryError
            There was none, or it was removed.
        """
        self.aliases.roll_back(job)
        return self.get(job)

    def prune(self, job: str, keep: int = 10) -> list[str]:
        """Remove old versions that no alias names; gives their names. Leftovers of dead publishes go too."""
        named = set(self.aliases.of(job).values())
        gone = [model.version for model in self.models(job)[keep:] if model.version not in named]
        for version in gone:
            self.storage.delete_version(job, version)
        self.storage.delete_leftovers(job)
        return gone

    def remove(self, job: str) -> None:
        """Remove all versions of a job, and its aliases; a reader sees all of them, or nothing."""
        self.storage.delete_job(job)

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
        return f"Registry({self.storage.shown!r})"

    def _repr_html_(self) -> str:
        table = self.to_pandas()
        return frame_html(f"{len(table)} models of {table['job'].nunique()} jobs", table)

    def _model(self, job: str, version: str, aliases: dict[str, str]) -> Model:
        with self.storage.open_version(job, version, only_manifest=True) as folder:
            manifest = read_manifest(folder)
        return Model(job, version, tuple(a for a, v in aliases.items() if v == version), manifest)
