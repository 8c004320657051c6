"""What Ray is told through the environment."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from foreshock.runtime.environment import cluster_variables, environment, ray_folder
from foreshock_models.errors import InstallationError


def test_rays_token_is_asked_for_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("MODE", "disabled"), ("TOKEN", "known"), ("TOKEN_PATH", "/etc/hostname")):
        monkeypatch.setenv(f"RAY_AUTH_{name}", value)
    with environment(cluster_variables(tmp_path)):
        assert os.environ["RAY_AUTH_MODE"] == "token"
        assert "RAY_AUTH_TOKEN" not in os.environ
        path = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    assert path.parent == tmp_path and stat.S_IMODE(path.stat().st_mode) == 0o600 and path.read_text()


def test_the_environment_is_as_before_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "a:1")
    before = dict(os.environ)
    with environment(cluster_variables(tmp_path)):
        assert "RAY_ADDRESS" not in os.environ
    assert dict(os.environ) == before


def test_what_decides_about_speed_gives_way_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_SERVE_CONTROL_LOOP_INTERVAL_S", "7")
    with environment({}):
        assert os.environ["RAY_SERVE_CONTROL_LOOP_INTERVAL_S"] == "7"


@pytest.mark.parametrize("name", ["RAY_TMPDIR", "TMPDIR"])
def test_a_name_too_long_for_sockets_is_told_with_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv(name, str(tmp_path / ("x" * 90)))
    with pytest.raises(InstallationError, match=rf"^{name}: .* bytes too long .*set RAY_TMPDIR"):
        ray_folder()


def test_the_longest_name_that_is_taken_makes_sockets_that_linux_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil
    import socket
    import tempfile

    base = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        for length in range(1, 90):
            monkeypatch.setenv("RAY_TMPDIR", str(base / ("x" * length)))
            try:
                folder = ray_folder()
            except InstallationError:
                break
        sockets = folder / f"session_2000-01-01_00-00-00_000000_{2**22}" / "sockets"
        sockets.mkdir(parents=True)
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(str(sockets / "plasma_store"))
    finally:
        shutil.rmtree(base)


def test_a_folder_that_does_not_exist_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", f"/tmp/{tmp_path.name[:8]}-{os.getpid()}")
    folder = ray_folder()
    try:
        assert folder.is_dir() and stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    finally:
        folder.rmdir()
        folder.parent.rmdir()
        folder.parent.parent.rmdir()
