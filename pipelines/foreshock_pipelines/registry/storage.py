"""Storage of model versions: folders on local disk, or on any filesystem that pyarrow has a URI for."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from foreshock_models.artifacts.manifest import LARGEST_FILE, MANIFEST, SEAL
from foreshock_models.errors import ArtifactError, RegistryError
from foreshock_pipelines.jobfile.urls import shown_url

__all__ = ["NAME", "Storage", "check_name"]

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
"""Names of jobs, versions and aliases: one folder each, nothing that leads out of it."""
ABANDONED_AFTER = 86_400
"""Seconds after which an unfinished version is left over from a process that died."""


class Storage:
    """Folders of jobs, each with the folders of its versions.

    A version is there from the moment its manifest is: locally the whole folder appears by one rename, elsewhere
    the manifest is uploaded last.

    Parameters
    ----------
    uri
        A folder, or a URI such as ``s3://bucket/models``.

    Attributes
    ----------
    shown : the same without credentials, for messages
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

    def jobs(self) -> list[str]:
        """Return the names of the jobs that have a folder here."""
        return self._folders(self.root)

    def versions(self, job: str) -> list[str]:
        """Return the versions of a job."""
        return self._folders(self._home(job))

    @contextlib.contextmanager
    def open_version(self, job: str, version: str, *, only_manifest: bool = False) -> Iterator[Path]:
        """Give a local folder with the files of a version."""
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

    def add_version(self, job: str, version: str, save: Callable[[Path], object]) -> None:
        """Add a version, which `save` writes into a folder; nobody sees it before it is complete."""
        home = self._home(job)
        try:
            self._fs.create_dir(home, recursive=True)
            if self._local:
                part = Path(home) / f".part-{version}"
                save(part)
                self._restrict(Path(home), part, *part.iterdir())
                os.rename(part, Path(home) / version)
                _sync(Path(home))
            else:
                self._upload(save, f"{home}/{version}")
        except (OSError, pa.ArrowException) as exc:
            raise RegistryError(f"{self.shown}: the model of {job!r} could not be published: {exc}") from exc

    def delete_version(self, job: str, version: str) -> None:
        """Delete a version; a reader sees all of it, or nothing."""
        home = Path(self._home(job))
        if self._local:
            os.rename(home / version, home / f".gone-{version}")
            self.delete_leftovers(job)
        else:
            self._fs.delete_file(f"{self._home(job)}/{version}/{MANIFEST}")
            self._fs.delete_dir(f"{self._home(job)}/{version}")

    def delete_leftovers(self, job: str) -> None:
        """Delete what processes that died have left of versions."""
        if not self._local:
            return
        home = Path(self._home(job))
        for gone in home.glob(".gone-*"):
            shutil.rmtree(gone, ignore_errors=True)
        for part in home.glob(".part-*"):
            if time.time() - part.stat().st_mtime > ABANDONED_AFTER:
                shutil.rmtree(part, ignore_errors=True)

    def delete_job(self, job: str) -> None:
        """Delete the folder of a job; a reader sees all of it, or nothing."""
        home = Path(self._home(job))
        if not self._local:
            self._fs.delete_dir(self._home(job))
            return
        gone = home.with_name(f".gone-{job}-{os.getpid()}")
        os.rename(home, gone)
        shutil.rmtree(gone)

    def read_file(self, job: str, name: str, largest: int) -> bytes:
        """Return a file beside the versions of a job.

        Raises
        ------
        OSError, ValueError
            It is not there, cannot be read, or is larger than `largest` bytes.
        """
        with self._fs.open_input_file(f"{self._home(job)}/{name}") as file:
            if file.size() > largest:
                raise ValueError(f"larger than {largest:,} bytes")
            content: bytes = file.readall()
            return content

    def write_file(self, job: str, name: str, content: bytes) -> None:
        """Replace a file beside the versions of a job; locally it changes at once, or not at all."""
        path = f"{self._home(job)}/{name}"
        if self._local:
            part = Path(f"{path}.part")
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            self._restrict(part)
            os.replace(part, path)
        else:
            with self._fs.open_output_stream(path) as out:
                out.write(content)

    @contextlib.contextmanager
    def lock(self, job: str) -> Iterator[None]:
        """Let one process at a time change what is known of a job; on remote filesystems the last one wins."""
        home = Path(self._home(job))
        if not self._local:
            yield
            return
        home.mkdir(parents=True, exist_ok=True)
        path = home / ".lock"
        with path.open("w") as file:
            self._restrict(path)
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _home(self, job: str) -> str:
        """Path of a job's folder."""
        check_name("job", job)
        return f"{self.root}/{job}"

    def _folders(self, path: str) -> list[str]:
        try:
            found = self._fs.get_file_info(fs.FileSelector(path, allow_not_found=True))
        except OSError as exc:
            raise RegistryError(f"{self.shown}: the models cannot be listed: {exc}") from exc
        return [f.base_name for f in found if f.type == fs.FileType.Directory and NAME.fullmatch(f.base_name)]

    def _download(self, file: fs.FileInfo, to: Path) -> None:
        if file.type != fs.FileType.File or (file.size or 0) > LARGEST_FILE:
            raise ArtifactError(f"{file.path}: not a plain file of at most {LARGEST_FILE:,} bytes")
        with self._fs.open_input_file(file.path) as source:
            (to / Path(file.base_name).name).write_bytes(source.readall())

    def _upload(self, save: Callable[[Path], object], to: str) -> None:
        with tempfile.TemporaryDirectory() as name:
            save(Path(name))
            for file in sorted(Path(name).iterdir(), key=lambda file: file.name == MANIFEST):
                with self._fs.open_output_stream(f"{to}/{file.name}") as out:
                    out.write(file.read_bytes())

    def _restrict(self, *paths: Path) -> None:
        """Give nobody more rights to these than to the root folder."""
        most = Path(self.root).stat().st_mode
        for path in paths:
            found = path.stat()
            if found.st_mode & ~most & 0o777 and found.st_uid == os.getuid():
                path.chmod(found.st_mode & most & 0o777)


def check_name(kind: str, name: str) -> None:
    """Refuse a name that could lead out of the registry."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise RegistryError(
            f"{str(name)[:100]!r} is not a valid name of a {kind}: up to 128 letters, digits and . _ -, "
            "the first a letter, digit or _"
        )


def _sync(folder: Path) -> None:
    """Force a rename to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
