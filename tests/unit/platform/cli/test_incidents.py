"""``foreshock incidents`` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner, Result

from foreshock.cli.app import _load_commands, app


@pytest.fixture
def installation(house: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("FORESHOCK_HOME", str(tmp_path))
    monkeypatch.setenv("FORESHOCK_STORE_URL", house.store.engine.url.render_as_string(hide_password=False))
    for minute, name in enumerate(["db", "api", "web"]):
        house.alert(name, minute)
    house.gather()
    return house


def foreshock(*words: str) -> Result:
    _load_commands()
    try:
        return CliRunner().invoke(app, list(words))
    finally:
        structlog.reset_defaults()


def done(*words: str) -> str:
    result = foreshock(*words)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_an_incident_is_handled_on_the_command_line(installation: Any, tmp_path: Path) -> None:
    (listed,) = json.loads(done("incidents", "list", "--json"))["incidents"]
    name = listed["id"]
    assert "db departed first" in done("incidents", "show", name[:6])
    assert "acknowledged by anna" in done("incidents", "ack", name, "--by", "anna")
    done("incidents", "comment", name, "disk is full", "--by", "anna")
    done("incidents", "class", name, "capacity", "--by", "anna")
    done("incidents", "rename", name, "the disk", "--by", "anna")
    assert "nobody" in done("incidents", "assign", name, "", "--by", "anna")
    assert "split off with 1 alert" in done("incidents", "split", name, "web", "--by", "anna")
    new = next(i for i in json.loads(done("incidents", "list", "--json"))["incidents"] if i["id"] != name)
    assert "3 alerts now" in done("incidents", "merge", new["id"], name, "--by", "anna")
    done("incidents", "resolve", name, "--by", "anna", "-m", "made room")
    done("incidents", "reopen", name, "--by", "anna")
    done("incidents", "postmortem", name, "-o", str(tmp_path / "pm.md"))
    assert "disk is full" in (tmp_path / "pm.md").read_text()
    assert "# Post-mortem: the disk" in done("incidents", "postmortem", name)


def test_an_incident_is_opened_by_hand(installation: Any) -> None:
    assert "opened by anna" in done("incidents", "create", "a customer calls", "--alert", "web", "--by", "anna")
    assert "a customer calls" in done("incidents", "list", "--state", "live")
