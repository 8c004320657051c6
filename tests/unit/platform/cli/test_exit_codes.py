"""How commands end: 0 done, 1 failed, 2 wrong usage, 130 stopped; one clear message, and nothing half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import structlog

from foreshock.alerts.model import Alert
from foreshock.alerts.repository import AlertRepository
from foreshock.cli.app import run as run_command
from foreshock.cli.files import make_room, writing
from foreshock.store import open_store
from foreshock_models.errors import ConfigError

NOW = 1_772_000_000_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with two alerts of like ids, one of them resolved."""
    monkeypatch.setenv("FORESHOCK_HOME", str(tmp_path))
    store = open_store(f"sqlite:///{tmp_path}/foreshock.db")
    for name, entity, state in (("ab12cd", "web-1", "open"), ("ab34ef", "web-2", "resolved")):
        alert = Alert(
            id=name, job="node", entity=entity, labels={"instance": entity}, kind="anomaly", state=state,
            severity="warning", opened_ms=NOW, updated_ms=NOW, score=1.4, peak=1.6, summary="x", causes=[],
        )  # fmt: skip
        with store.begin() as c:
            AlertRepository(store).save(c, alert, event="opened", at_ms=NOW, who="foreshock", why="3 of 5")
    store.close()
    return tmp_path


def run(*words: str) -> int:
    try:
        return run_command(list(words))
    finally:
        structlog.reset_defaults()  # its logs go to a standard error that is no more


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("--version", 0, ""),
        ("alerts list", 0, ""),
        ("alerts show ab1", 0, ""),
        ("alerts ack ab12cd --by anna", 0, ""),
        ("nonsense", 2, "nonsense"),
        ("alerts show", 2, "Missing argument"),
        ("alerts list --nonsense", 2, "--nonsense"),
        ("alerts list --state shut", 2, "'live'"),
        ("alerts list --severity high", 2, "'critical'"),
        ("alerts list --kind odd", 2, "'absent'"),
        ("alerts list --since soon", 2, "is not a time"),
        ("alerts list --limit 0", 2, "--limit"),
        ("alerts show a", 2, "alert 'a' is ambiguous: ab12cd, ab34ef; write more"),
        (f"alerts ack ab12cd --by {'x' * 129}", 2, "at most 128"),
        ("alerts ack ab12cd --by \udcff", 2, "not valid UTF-8"),
        ("alerts silence ab1 --reason x --for soon", 2, "is not a duration"),
        ("alerts silence --match instance=~( --reason x --for 1h", 2, "not a regular expression"),
        ("forecast -c nowhere.yaml --horizon soon", 2, "nowhere.yaml"),
        ("config validate nowhere.yaml", 2, "nowhere.yaml"),
        ("alerts show zz", 1, "no alert 'zz'; see: foreshock alerts list"),
        ("alerts ack ab34ef", 1, "resolved already"),
        ("silences end zz", 1, "no silence 'zz'"),
        ("runs show zz", 1, "no run 'zz'"),
        ("models show node", 1, "no model"),
    ],
)
def test_the_exit_code_says_what_kind_of_end_it_was(
    home: Path, capfd: pytest.CaptureFixture[str], words: str, code: int, says: str
) -> None:
    assert run(*words.split()) == code
    out, err = capfd.readouterr()
    assert says in " ".join(err.split())
    assert ("error: " in err, bool(out)) == (code != 0, code == 0)


def test_a_fault_of_our_own_ends_with_1_and_does_not_command_the_terminal(
    home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise KeyError("\x1b[2J[/x]\u202e")

    monkeypatch.setattr("foreshock.cli.alerts.the_store", broken)
    assert run("alerts", "list") == 1
    err = capfd.readouterr().err
    assert r"\x1b[2J[/x]\u202e" in err
    assert "\x1b" not in err


def test_what_stdout_cannot_encode_is_written_as_an_escape(home: Path) -> None:
    command = [sys.executable, "-m", "foreshock", "alerts", "show", "ab12cd"]
    store = open_store(f"sqlite:///{home}/foreshock.db")
    with store.begin() as c:
        AlertRepository(store).add_history("ab12cd", "noted", who="jürgen", why="– 磁盘", at_ms=NOW, c=c)
    store.close()
    done = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=True)
    assert rb"j\xfcrgen" in done.stdout
    assert rb"\u2013 \u78c1\u76d8" in done.stdout


def test_a_reader_that_leaves_early_ends_a_command_without_a_traceback(home: Path) -> None:
    command = [sys.executable, "-m", "foreshock", "config", "schema"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 1


def test_ctrl_c_ends_with_130_and_one_word(home: Path, tmp_path: Path) -> None:
    """While it waits for another process that holds the store."""
    import sqlite3

    command = [sys.executable, "-m", "foreshock", "alerts", "list"]
    with sqlite3.connect(home / "foreshock.db", isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs of a shell ignore it
        ) as running:  # fmt: skip
            time.sleep(3)
            running.send_signal(signal.SIGINT)
            holder.execute("ROLLBACK")
            out, err = running.communicate(timeout=30)
    assert (running.returncode, out, err.strip()) == (130, "", "stopped")


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "scores.parquet"
    file.write_text("before")
    with pytest.raises(KeyboardInterrupt), writing(file) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert (file.read_text(), list(tmp_path.iterdir())) == ("before", [file])
    with writing(file) as part:
        part.write_text("after")
    assert (file.read_text(), list(tmp_path.iterdir())) == ("after", [file])


def test_a_file_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    make_room(tmp_path / "new" / "scores.parquet")
    assert (tmp_path / "new").is_dir()
    (tmp_path / "file").write_text("")
    for wrong, says in ((tmp_path, "it is a folder"), (tmp_path / "file" / "x.html", "cannot be written")):
        with pytest.raises(ConfigError, match=says):
            make_room(wrong)
