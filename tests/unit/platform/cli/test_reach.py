"""Commands that serve, on addresses that other machines reach."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from foreshock.cli.app import _load_commands, app
from foreshock_models.errors import ConfigError


@pytest.mark.parametrize("command", ["up", "serve"])
@pytest.mark.parametrize("by", ["option", "environment"])
def test_plain_http_beyond_loopback_ends_the_start_before_anything_begins(
    command: str, by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORESHOCK_HOME", str(tmp_path / "home"))
    for name in ("RAY_ADDRESS", "FORESHOCK_RAY_ADDRESS", "FORESHOCK_ALLOW_PLAIN_HTTP"):
        monkeypatch.delenv(name, raising=False)
    words = [command, "-c", str(tmp_path / "none.yaml")]
    if by == "option":
        words += ["--host", "0.0.0.0"]
    else:
        monkeypatch.setenv("FORESHOCK_HOST", "0.0.0.0")
    _load_commands()
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, ConfigError) and "FORESHOCK_ALLOW_PLAIN_HTTP=1" in str(done.exception)
    assert not (tmp_path / "home" / "api-token").exists()
