"""Every table on a terminal of 80 columns and in a pipe, with what nobody wants to be printed."""

from __future__ import annotations

import ast
import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fixtures import commands

from foreshock.alerts.model import Alert
from foreshock.alerts.repository import AlertRepository
from foreshock.runs.model import Run
from foreshock.runs.repository import RunRepository
from foreshock.scoring.checkpoint import Checkpoint, CheckpointRepository
from foreshock.scoring.cursors import CursorRepository
from foreshock.silences.matchers import Matcher
from foreshock.silences.model import Silence
from foreshock.silences.repository import SilenceRepository
from foreshock.store import open_store
from foreshock_models.state import State

ROOT = Path(__file__).parents[4]
NOW = round(time.time() * 1000)
HOST = "ip-10-0-12-34.eu-central-1.compute.internal:9100"
HOSTILE = (
    "[/x] [red]eve\x1b]0;pwned\x07\x1b[2J\u202e\u2066\x9b31m"
    + " " * 70
    + "\n2026-01-01 00:00  resolved  root  all is well"
)
IDS = ("a1b2c3d4e5f60718", "a1b2c3d4ffffffff")
SHOWN = r"[/x] [red]eve\x1b]0;pwned\x07\x1b[2J\u202e\u2066\x9b31m"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with hosts of long names, and with texts of an attacker wherever there may be any."""
    home = tmp_path_factory.mktemp("home")
    store = open_store(f"sqlite:///{home}/foreshock.db")
    causes = [
        {"feature": "cpu", "share": 0.1 + 0.2, "observed": 0.1 + 0.2, "expected": 1 / 3, "lower": None, "upper": 1}
    ]
    with store.begin() as c:
        for at, (id_, entity) in enumerate(zip(IDS, (HOST, HOSTILE), strict=True)):
            alert = Alert(
                id=id_, job="node", entity=entity, labels={"instance": entity}, kind="anomaly", state="open",
                severity="warning", opened_ms=NOW + at, updated_ms=NOW, score=1.4, peak=0.1 + 0.2,
                summary=f"{entity} (node) is anomalous, score 1.40: cpu 97%: 0.93, usual 0.31", causes=causes,
                version="20260301T020000123-ab12",
            )  # fmt: skip
            AlertRepository(store).save(
                c, alert, event="opened", at_ms=NOW, who="foreshock", why="3 of 5 rows scored at least 1"
            )
            AlertRepository(store).add_history(alert.id, "feedback true", who=HOSTILE, why=HOSTILE, at_ms=NOW, c=c)
        row = {"first_ms": NOW, "seen_ms": NOW, "scored_ms": NOW, "warming": True}
        CursorRepository(store).save(c, "node", [{"entity": entity, **row} for entity in (HOST, HOSTILE)])
        CheckpointRepository(store).save(c, "node", Checkpoint("v1", NOW, State().to_bytes(), State().to_bytes()))
    matchers = tuple(Matcher("instance", "=~", value) for value in (HOST, "web-[0-9]+", "db-[0-9]+"))
    silences = SilenceRepository(store)
    silences.add(Silence("5111aaaa0000", matchers, NOW - 1000, NOW + 10**9, HOSTILE[:128], HOSTILE, NOW))
    silences.add(Silence("5222bbbb0000", matchers, NOW, NOW + 10**9, "anna", "backup", NOW, "FREQ=DAILY", 60.0))
    run = RunRepository(store).begin("node", "train", datetime.now(UTC), now=datetime.now(UTC), cause="schedule")
    assert isinstance(run, Run)
    RunRepository(store).update(run.id, state="failed", error=f"{HOST}: {HOSTILE}", ended=datetime.now(UTC))
    store.close()
    return home


def environment(home: Path) -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")}
    return {**plain, "FORESHOCK_HOME": str(home), "TERM": "xterm-256color"}


def on_terminal(home: Path, *words: str) -> str:
    """Return what a terminal of 80 columns gets."""
    done = commands.on_terminal(*words, env=environment(home))
    assert done.returncode == 0, done.stdout
    return done.stdout


def in_pipe(home: Path, *words: str) -> str:
    done = commands.command(*words, env={**environment(home), "COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    return done.stdout


COMMANDS = [
    ("alerts", "list"), ("alerts", "show", "a1b2c3d4f"), ("alerts", "show", "a1b2c3d4e"), ("silences", "list"),
    ("entities", "list"), ("runs", "list"),
]  # fmt: skip
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_on_a_terminal_nothing_is_wider_than_it_cut_or_hidden(home: Path, words: tuple[str, ...]) -> None:
    from rich.cells import cell_len

    got = COLOURS.sub("", on_terminal(home, *words))
    lines = got.split("\n")
    assert max(map(cell_len, lines)) <= 80
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066…]", got)
    joined = "".join(line.strip() for line in lines)
    whole = {"alerts list": [*IDS, HOST], "runs list": [HOST], "silences list": ["5111aaaa0000", HOST, "db-[0-9]+"]}
    for text in whole.get(" ".join(words), []):
        assert text in joined
    assert not [line for line in lines if line.startswith("2026-01-01 00:00")]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_in_a_pipe_a_row_is_a_line_whatever_it_holds(home: Path, words: tuple[str, ...]) -> None:
    got = in_pipe(home, *words)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066…]", got)
    if words != ("alerts", "show", "a1b2c3d4e"):
        assert SHOWN in got
    assert not [line for line in got.split("\n") if line.startswith("2026-01-01 00:00")]
    assert HOST in got or words[1] == "show"


def test_numbers_are_rounded(home: Path) -> None:
    assert "00000000" not in in_pipe(home, "alerts", "show", IDS[0]).replace(IDS[0], "")
    assert "30000000000000004" not in in_pipe(home, "alerts", "show", IDS[0], "--json")


def test_commands_print_by_the_console_alone() -> None:
    """So that the next command cannot forget what the console does."""
    wrong = []
    for file in sorted((ROOT / "platform" / "foreshock").rglob("*.py")):
        if file.name in ("console.py", "progress.py") and file.parent.name == "cli":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            written = called in ("print", "sys.stdout.write", "sys.stderr.write", "sys.exit") and node.args  # type: ignore[attr-defined]
            written = written and (called != "sys.exit" or isinstance(node.args[0], ast.Constant | ast.JoinedStr))  # type: ignore[attr-defined]
            rich = any(name.split(".")[0] in ("rich", "click") for name in modules)
            if rich or written or re.match(r"typer\.(echo|secho|style|confirm|prompt)\b", called):
                wrong.append(f"{file.name}:{node.lineno}")  # type: ignore[attr-defined]
    assert wrong == []
