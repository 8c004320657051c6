"""How objects show themselves in notebooks: one line, and a small table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["facts_html", "frame_html", "span", "utc"]

MAX_ROWS = 12


def frame_html(line: str, frame: pd.DataFrame, *, max_rows: int = MAX_ROWS) -> str:
    """A line of text over a table; of a long one the first rows, and how many more there are."""
    shown = frame.head(max_rows)
    table = shown.to_html(index=False, border=0, na_rep="–", float_format=lambda x: f"{x:.4g}")
    more = f"<p>… and {len(frame) - max_rows} more rows</p>" if len(frame) > max_rows else ""
    return f"<p>{escape(line)}</p>{table if len(frame) else ''}{more}"


def facts_html(line: str, facts: Mapping[str, Any]) -> str:
    """A line of text over a table of names and values."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(str(value))}</td></tr>"
        for name, value in facts.items()
    )
    return f"<p>{escape(line)}</p><table>{rows}</table>"


def utc(ms: int) -> str:
    """Milliseconds since the epoch as people read them.

    >>> utc(1_772_366_400_000)
    '2026-03-01 12:00'
    """
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}"


def span(first_ms: int, last_ms: int) -> str:
    """From when to when."""
    return f"{utc(first_ms)} to {utc(last_ms)} UTC"
