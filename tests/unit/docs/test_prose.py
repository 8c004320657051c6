"""The prose check finds what it is there to find, and nothing in code."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest


@pytest.mark.parametrize(
    ("source", "finding"),
    [
        ('def f():\n    """What is left."""\n', "a docstring starts with 'What'"),
        ("x = 1  # in order to go on\n", "'in order to': write 'to'"),
        ('"""Trained\nanew."""\n', "'anew': write 'again'"),
    ],
)
def test_a_passage_to_change_is_named_with_its_line(
    prose: ModuleType, tmp_path: Path, source: str, finding: str
) -> None:
    file = tmp_path / "module.py"
    file.write_text(source, encoding="utf-8")
    ((line, text),) = prose.findings(file)
    assert text.startswith(finding)
    assert 1 <= line <= 2


def test_code_is_not_prose(prose: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("`in order to` and\n```sh\nanew\n```\nhttps://example.com/anew\n", encoding="utf-8")
    assert list(prose.findings(file)) == []
