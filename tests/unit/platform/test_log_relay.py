"""Logs: of one process, and of all of an installation."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from foreshock.logs import Condition, describe_error, get_logger, relay_logs, set_up_logging
from foreshock_models.errors import SourceError


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    hook, handlers = threading.excepthook, logging.getLogger().handlers[:]
    yield
    threading.excepthook = hook
    logging.getLogger().handlers[:] = handlers
    structlog.reset_defaults()


def lines_of_another_process(folder: Path, capsys: pytest.CaptureFixture[str], code: str, **how: bool) -> list[str]:
    """Output printed here for the logs of a process that has the variables of `relay_logs`."""
    head = "import logging, threading\nfrom foreshock.logs import get_logger, set_up_logging\nset_up_logging()\n"
    with relay_logs(folder / "s", **how) as variables:
        subprocess.run(
            [sys.executable, "-c", head + code], env={**os.environ, **variables}, check=True, capture_output=True
        )
    return capsys.readouterr().err.splitlines()


def test_what_another_process_warns_of_is_one_line_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "get_logger('alerts').warning('the store is away', error='refused')"
    (line,) = lines_of_another_process(tmp_path, capsys, code)
    assert "warning" in line and "the store is away" in line and "error=refused" in line and "source=alerts" in line


def test_it_is_json_where_that_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lines_of_another_process(tmp_path, capsys, "get_logger('a').error('gone', job='j')", json=True)
    assert json.loads(line).items() >= {"event": "gone", "job": "j", "level": "error", "source": "a"}.items()


def test_a_warning_of_a_library_and_a_thread_that_dies_are_one_line_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "logging.getLogger('urllib3').warning('retrying\\n%s', 'soon')\n"
        "thread = threading.Thread(target=lambda: 1 / 0, name='delivery')\nthread.start()\nthread.join()"
    )
    first, second = lines_of_another_process(tmp_path, capsys, code)
    assert "retrying soon" in first and "source=urllib3" in first
    assert "a thread died" in second and "delivery" in second and "ZeroDivisionError: division by zero" in second


def test_what_several_processes_notice_at_once_is_printed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "for name in ('scorer', 'explainer'): get_logger(name).warning('the registry is away', error='x')"
    assert len(lines_of_another_process(tmp_path, capsys, code)) == 1


def test_what_comes_from_outside_neither_breaks_the_line_nor_reaches_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_logging()
    get_logger("a").warning("odd", label="x\n2026-01-01 [info] forged\x1b[31m\r\u2028end")
    text = capsys.readouterr().err
    assert len(text.splitlines()) == 1 and "\x1b[31m" not in text and "\\n2026" in text


def test_an_exception_is_one_line_unless_debugging(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("INFO")
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        get_logger("a").exception("failed")
    assert capsys.readouterr().err.splitlines()[0].count("ValueError: first second") == 1


def test_nobody_waits_for_who_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESHOCK_LOG_SOCKET", str(tmp_path / "gone"))
    set_up_logging()
    began = time.monotonic()
    get_logger("a").warning("nobody hears this")
    assert time.monotonic() - began < 1


def test_a_condition_is_logged_when_it_begins_and_when_it_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging()
    away = Condition(get_logger("a"), "the store is away", "the store is back")
    away.cleared()
    for _ in range(5):
        away.raised("refused")
    away.raised("another reason, soon after")
    away.cleared()
    away.cleared()
    first, second = capsys.readouterr().err.splitlines()
    assert "the store is away" in first and "refused" in first and "the store is back" in second


class Remote(Exception):
    """An error as Ray raises it here: the cause was raised elsewhere."""

    def __init__(self, text: str, cause: Exception | None = None) -> None:
        super().__init__(text)
        self.cause = cause


def test_the_cause_of_a_remote_error_is_what_is_said() -> None:
    error = Remote("ray::run() (pid=1)\nTraceback ...\n", SourceError("the source\nis down"))
    assert describe_error(error) == "the source is down"


def test_a_quoted_traceback_is_its_ends() -> None:
    error = Remote("The actor died.\nTraceback (most recent call last):\n  File x\nOSError: disk full")
    assert describe_error(error) == "Remote: The actor died. … OSError: disk full"
