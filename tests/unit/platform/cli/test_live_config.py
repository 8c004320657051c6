"""``foreshock config show|set|history|diff|rollback``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from foreshock.cli.app import _load_commands, app
from foreshock.cli.options import the_store
from foreshock.configuration import Configuration, service
from foreshock.configuration.service import StaleVersion
from foreshock_models.errors import ConfigError, StateError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FORESHOCK_HOME", str(tmp_path))
    for name in ("FORESHOCK_STORE_URL", "ENCRYPTION_KEY", "FORESHOCK_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(service, "SETTLE", 0.3)
    _load_commands()
    return tmp_path


def run(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_settings_are_changed_listed_compared_and_brought_back() -> None:
    assert "version 1 is in force" in run("config", "set", "log_level=DEBUG", "keep_runs=2d", "--why", "a look")
    run("config", "set", "keep_runs=", "limit_program=5 per second")
    found = json.loads(run("config", "show", "--json"))
    assert found["values"] == {"log_level": "DEBUG", "limit_program": "5 per second"}
    assert found["settings"]["log_level"]["source"] == "store"
    assert [v["version"] for v in json.loads(run("config", "history", "--json"))] == [2, 1]
    assert "a look" in run("config", "history")
    assert set(json.loads(run("config", "diff", "1", "--json"))) == {"keep_runs", "limit_program"}
    run("config", "rollback", "1")
    assert json.loads(run("config", "show", "--json"))["values"] == {"log_level": "DEBUG", "keep_runs": "2d"}
    assert "version 3, of" in run("config", "show")
    acts = [entry["act"] for entry in json.loads(run("audit", "list", "--json"))]
    assert acts[0] == "config:rollback"


def test_mistakes_are_named_and_change_nothing() -> None:
    for words, says in ((["log_level=LOUD"], "log_level"), (["log_lvel=DEBUG"], "no such setting"), (["x="], "x:")):
        with pytest.raises(ConfigError, match=says):
            run("config", "set", *words)
    run("config", "set", "log_level=DEBUG", "--no-wait")
    for expected in ("0", "2"):
        with pytest.raises(StaleVersion, match="version 1 is in force"):
            run("config", "set", "log_level=ERROR", "--expect", expected)
    assert CliRunner().invoke(app, ["config", "set", "log_level"]).exit_code == 2


def test_what_the_environment_of_the_installation_fixes_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESHOCK_KEEP_RUNS", "5d")  # of this command; there was no start yet
    assert json.loads(run("config", "show", "--json"))["settings"]["keep_runs"]["source"] == "environment"
    store = the_store()
    Configuration(store).pin({"log_level": "ERROR"})
    store.close()
    found = json.loads(run("config", "show", "--json"))["settings"]
    assert (found["log_level"]["source"], found["keep_runs"]["source"]) == ("environment", "default")
    with pytest.raises(ConfigError, match="FORESHOCK_LOG_LEVEL"):
        run("config", "set", "log_level=DEBUG")


def test_a_version_that_a_process_refuses_fails_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Configuration, "settle", lambda *_: "alerts: no room")
    with pytest.raises(StateError, match=r"could not be applied.*alerts: no room"):
        run("config", "set", "log_level=DEBUG")
