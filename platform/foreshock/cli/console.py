"""The one way to print. Commands import neither rich nor `print`: a test says so.

What is printed is plain text: markup has no meaning, and what would not be seen is shown as an escape (see
`foreshock.terminal`). On a terminal, lines are wrapped with an indent, so that no text can look like a line of its
own; elsewhere, nothing is wrapped or cut.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from foreshock.terminal import visible, visible_lines

__all__ = [
    "errors", "fail", "live_table", "open_streams", "say", "show_json", "show_table", "stream", "tell",
    "tell_partial",
]  # fmt: skip

output = Console(highlight=False)
errors = Console(stderr=True, highlight=False)
INDENT = 4
GAP = 2

Piece = str | tuple[str, str]
"""A text, or a text and its style."""
Rows = Iterable[Sequence[str]]


def say(*pieces: Piece, whole: bool = False) -> None:
    """Print a line on standard output; `whole`: never wrapped here, as a command that somebody copies."""
    _line(output, pieces, whole)


def tell(*pieces: Piece, whole: bool = False) -> None:
    """Print a line on standard error: progress, and what is not the answer."""
    _line(errors, pieces, whole)


def tell_partial(reasons: Sequence[str]) -> None:
    """Say on standard error that the source's answers were partial."""
    for reason in reasons:
        tell((f"partial answer, rows may be missing: {reason}", "yellow"))


def fail(message: object) -> None:
    """Print an error, which may have several lines."""
    for line in visible_lines(f"error: {message}"):
        _print(errors, Text(line, "red"))


def show_table(headers: Sequence[str], rows: Rows, *, title: str = "", styles: Sequence[str] = ()) -> None:
    """Print rows of text under headers.

    A column without any text is left out. Where a row is wider than the terminal, its widest cells come below the
    others, each with its header.

    Parameters
    ----------
    styles
        One for each row; default none.
    """
    if title:
        say((title, "bold"))
    for line in _table(headers, rows, output.width if output.is_terminal else None, styles):
        _print(output, line)


def show_json(value: Any) -> None:
    """Print JSON; numbers have 12 digits, and what is not a number is null."""
    stream(json.dumps(_rounded(value), indent=2, default=str) + "\n")


def stream(text: str) -> None:
    """Print text in which only line feeds have a meaning: a document, or the log of a job elsewhere."""
    output.file.write("\n".join(visible(line) for line in text.split("\n")))
    output.file.flush()


@contextmanager
def live_table(title: str, headers: Sequence[str]) -> Iterator[Callable[[str, Rows], None]]:
    """Rows that change while the block runs, on standard error; gives what takes the title and the rows."""
    if not errors.is_terminal:
        yield lambda title, rows: None
        return
    with Live(Text(visible(title)), console=errors, transient=True, refresh_per_second=4) as live:

        def update(title: str, rows: Rows) -> None:
            live.update(Group(Text(visible(title)), *_table(headers, rows, errors.width)))

        yield update


def open_streams() -> None:
    """Let standard output and error take any text: what their encoding lacks is written as an escape."""
    for stream_ in (sys.stdout, sys.stderr):
        if hasattr(stream_, "reconfigure"):
            stream_.reconfigure(errors="backslashreplace")


def _line(console: Console, pieces: Sequence[Piece], whole: bool) -> None:
    text = _text(pieces)
    if whole or not console.is_terminal or cell_len(text.plain) <= console.width:
        _print(console, text)
    else:
        for line in _wrapped(text, console.width, 0):
            _print(console, line)


def _text(pieces: Sequence[Piece]) -> Text:
    return Text.assemble(*((visible(p), "") if isinstance(p, str) else (visible(p[0]), p[1]) for p in pieces))


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True)


def _wrapped(text: Text, width: int, indent: int) -> Iterator[Text]:
    """Lines of a text, none longer than `width`; those after the first are indented by `INDENT` more."""
    lines = text.wrap(errors, max(width - indent - INDENT, 20), overflow="fold")
    for at, line in enumerate(lines):
        line.rstrip()
        yield Text.assemble(" " * (indent + (INDENT if at else 0)), line)


def _table(headers: Sequence[str], rows: Rows, width: int | None, styles: Sequence[str] = ()) -> list[Text]:
    cells = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(headers, *cells, strict=True)]
    across = [i for i in range(len(headers)) if not cells or any(row[i] for row in cells)]
    while width is not None and len(across) > 1 and sum(widths[i] + GAP for i in across) - GAP > width:
        across.remove(max(across[1:], key=lambda i: widths[i]))
    lines = [Text(_across(headers, widths, across), "bold")]
    for at, row in enumerate(cells):
        style = styles[at] if styles else ""
        lines.append(Text(_across(row, widths, across), style))
        for i in range(len(headers)):
            if i not in across and row[i]:
                lines += _wrapped(Text(f"{headers[i]}: {row[i]}", style), width or 80, GAP)
    return lines


def _across(row: Sequence[str], widths: Sequence[int], columns: Sequence[int]) -> str:
    return "".join(row[i] + " " * (widths[i] - cell_len(row[i]) + GAP) for i in columns).rstrip(" ")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.12g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value
