"""The commands as they are typed."""

from __future__ import annotations

import getpass
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from foreshock.alerts.model import Alert
from foreshock.alerts.repository import AlertRepository
from foreshock.cli.app import _load_commands, app
from foreshock.scoring.checkpoint import CheckpointRepository
from foreshock.scoring.cursors import CursorRepository
from foreshock.silences.repository import SilenceRepository
from foreshock.store import open_store

NOW = round(time.time() * 1000)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with one open alert."""
    monkeypatch.setenv("FORESHOCK_HOME", str(tmp_path))
    store = open_store(f"sqlite:///{tmp_path}/foreshock.db")
    alert = Alert(
        id="id-1", job="node", entity="web-1", labels={"instance": "web-1"}, kind="anomaly", state="open",
        severity="warning", opened_ms=NOW, updated_ms=NOW, score=1.4, peak=1.6, summary="web-1 is anomalous",
        causes=[],
    )  # fmt: skip
    with store.begin() as c:
        AlertRepository(store).save(c, alert, event="opened", at_ms=NOW, who="foreshock", why="3 of 5")
        row = {"entity": "web-1", "first_ms": NOW, "seen_ms": NOW, "scored_ms": NOW, "warming": True}
        CursorRepository(store).save(c, "node", [row])
    store.close()
    return tmp_path


def foreshock(*words: str) -> Result:
    _load_commands()
    try:
        return CliRunner().invoke(app, list(words))
    finally:
        structlog.reset_defaults()  # its logs go to a standard error that is no more


def ok(*words: str) -> str:
    done = foreshock(*words)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_an_alert_is_acknowledged_and_resolved_by_whoever_types(home: Path) -> None:
    ok("alerts", "ack", "id-1", "-m", "on it")
    ok("alerts", "resolve", "id-1", "--by", "ben", "-m", "restarted it")
    shown = json.loads(ok("alerts", "show", "id-1", "--json"))
    assert [(h["event"], h["who"], h["why"]) for h in shown["history"]] == [
        ("opened", "foreshock", "3 of 5"),
        ("acknowledged", getpass.getuser(), "on it"),
        ("resolved", "ben", "restarted it"),
    ]


def test_alerts_are_filtered(home: Path) -> None:
    def found(*words: str) -> int:
        return len(json.loads(ok("alerts", "list", "--json", *words))["alerts"])

    assert [found(), found("--severity", "critical"), found("--since", "-1h"), found("--kind", "absent")] == [
        1, 0, 1, 0,
    ]  # fmt: skip


def test_an_alert_is_silenced_by_its_id_and_the_silence_ended(home: Path) -> None:
    made = json.loads(ok("alerts", "silence", "id-1", "--for", "2h", "--reason", "disk swap", "--json"))
    assert made["matchers"] == ['job="node"', 'instance="web-1"']
    (listed,) = json.loads(ok("silences", "list", "--json"))
    assert listed["id"] == made["id"]
    ok("silences", "end", made["id"])
    assert json.loads(ok("silences", "list", "--json")) == []


def test_a_silence_by_id_matches_an_alert_whose_entity_has_a_label_called_job(home: Path) -> None:
    store = open_store(f"sqlite:///{home}/foreshock.db")
    alert = replace(AlertRepository(store).get("id-1"), id="id-2", entity="web", labels={"job": "web"})
    with store.begin() as c:
        AlertRepository(store).save(c, alert, event="opened", at_ms=NOW, who="foreshock", why="3 of 5")
    made = json.loads(ok("alerts", "silence", "id-2", "--for", "2h", "--reason", "disk swap", "--json"))
    assert made["matchers"] == ['job="node"', 'exported_job="web"']
    assert SilenceRepository(store).get(made["id"]).matches(alert)
    store.close()


def test_a_weekly_window_is_typed(home: Path) -> None:
    output = ok(
        "alerts", "silence", "--match", "instance=~web-.*", "--start", "2036-03-30T02:30", "--end", "2036-12-31",
        "--for", "90m", "--rule", "FREQ=WEEKLY;BYDAY=SU", "--timezone", "Europe/Berlin", "--reason", "backup",
    )  # fmt: skip
    assert "from 2036-03-30T01:30:00Z to 2036-12-30T23:00:00Z, FREQ=WEEKLY;BYDAY=SU in Europe/Berlin" in output


def test_feedback_excludes_rows_on_the_day_of_the_alert_and_is_undone(home: Path) -> None:
    assert "are not learnt from" in ok("alerts", "feedback", "id-1", "--exclude", "14:00..15:30")
    assert "is taken back" in ok("alerts", "feedback", "id-1", "--undo")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("alerts", "feedback", "id-1"), "say one of"),
        (("alerts", "feedback", "id-1", "--true", "--false"), "say one of"),
        (("alerts", "feedback", "id-1", "--exclude", "2pm..3pm"), "not an interval"),
        (("alerts", "silence", "--for", "1h", "--reason", "x"), "say what to silence"),
        (("alerts", "silence", "id-1", "--reason", "x"), "when the silence ends"),
        (("alerts", "ack", "nope"), "no alert 'nope'"),
        (("entities", "forget", "node", "web1"), "did you mean 'web-1'"),
    ],
)
def test_a_mistake_is_named(home: Path, words: tuple[str, ...], says: str) -> None:
    assert says in str(foreshock(*words).exception)


def test_an_entity_is_listed_as_warming_and_forgotten(home: Path) -> None:
    store = open_store(f"sqlite:///{home}/foreshock.db")
    from foreshock.scoring.checkpoint import Checkpoint
    from foreshock_models.state import State

    with store.begin() as c:
        CheckpointRepository(store).save(c, "node", Checkpoint("v1", NOW, State().to_bytes(), State().to_bytes()))
    store.close()
    (entity,) = json.loads(ok("entities", "list", "--json"))
    assert (entity["entity"], entity["state"], entity["warming"]) == ("web-1", "calm", True)
    assert "1 alert resolved" in ok("entities", "forget", "node", "web-1", "-m", "sold")
    assert json.loads(ok("entities", "list", "--json")) == []


def test_a_silence_says_how_much_it_matches_or_that_it_matches_nothing(home: Path) -> None:
    from foreshock.scoring.checkpoint import Checkpoint
    from foreshock_models.state import State

    silence = ("alerts", "silence", "--for", "1h", "--reason", "x")
    assert "no entity is known yet" in ok(*silence, "--match", "instance=web-2")
    store = open_store(f"sqlite:///{home}/foreshock.db")
    with store.begin() as c:
        CheckpointRepository(store).save(c, "node", Checkpoint("v1", NOW, State().to_bytes(), State().to_bytes()))
    store.close()
    assert "it matches none of the 1 entities known now" in ok(*silence, "--match", "instance=web-2")
    assert "1 live alert at present" in ok(*silence, "id-")
