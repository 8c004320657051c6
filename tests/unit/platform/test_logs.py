"""Logs show what comes from outside, and do not let it act."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock.terminal import HIDDEN, visible, visible_lines

WRITE = """
import logging
from foreshock.logs import get_logger, set_up_logging
set_up_logging(json={json})
hostile = "eve\\x1b[2J\\u202e\\n2026-01-01 all is well"
try:
    raise ValueError(hostile)
except ValueError:
    get_logger("test").exception(hostile, entity=hostile, labels={{"instance": hostile}})
logging.getLogger("httpx").warning(hostile)
"""


@pytest.mark.parametrize("as_json", [False, True])
def test_a_log_line_is_one_line_whatever_it_says(as_json: bool, tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE.format(json=as_json)]
    err = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert "\x1b" not in err
    assert "\u202e" not in err
    assert not [line for line in err.split("\n") if line.startswith("2026-01-01")]
    if as_json:
        assert json.loads(err.split("\n")[0])["entity"] == "eve\x1b[2J\u202e\n2026-01-01 all is well"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größe 磁盘 🙂 e\u0301", "größe 磁盘 🙂 e\u0301"),
        ("a\tb\r\nc\x00", r"a\tb\r\nc\x00"),
        ("\x7f\x85\x9b", r"\x7f\x85\x9b"),
        ("\u202ea\u2066\u200fb\u2028", r"\u202ea\u2066\u200fb\u2028"),
        ("web-1\u200b\ufeff\xad", r"web-1\u200b\ufeff\xad"),
        ("web\u200d-1", r"web\u200d-1"),
        ("web\u3164\uffa0\u115f\u034f\u180e-1", r"web\u3164\uffa0\u115f\u034f\u180e-1"),
        ("👩\u200d💻 می\u200cخواهم", "👩\u200d💻 می\u200cخواهم"),
        ("\udcff\U000e0041", r"\udcff\U000e0041"),
    ],
)
def test_what_would_not_be_seen_is_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Lu", "Ll"])))
def test_nothing_hidden_is_left(text: str) -> None:
    assert HIDDEN.search(visible(text)) is None
    assert visible(visible(text)) == visible(text)


def test_lines_after_the_first_are_indented() -> None:
    assert visible_lines("a\nerror: b\r") == ["a", r"    error: b\r"]
