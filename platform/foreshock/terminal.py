"""Text from outside, made fit for a terminal or a log: labels, comments, file names, messages of other programs."""

from __future__ import annotations

import re

__all__ = ["visible", "visible_lines"]

HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters: C0, delete, C1
    "\xad\u061c\u200b\u200e\u200f\u2060-\u206f\ufeff\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e007f"
    "\u2028-\u202e"  # line and paragraph separators, bidirectional embeddings and overrides
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\U0001bca0-\U0001bca3\U000e0100-\U000e01ef"  # fillers
    "\ud800-\udfff]"  # bytes of file names that are not valid UTF-8
    "|(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])"  # joiners, unless between letters of a script
)


def visible(text: object) -> str:
    r"""Return a text with everything that would not be seen written as an escape.

    Control characters cannot command the terminal, a line feed cannot forge a line, and nothing can reorder or hide
    what is beside it.

    >>> visible("disk\x1b[2J\nresolved by root")
    'disk\\x1b[2J\\nresolved by root'
    """
    return HIDDEN.sub(_escaped, str(text))


def visible_lines(text: object) -> list[str]:
    """The lines of a text of several, each `visible`; those after the first are indented, and so forge none."""
    first, *rest = str(text).split("\n")
    return [visible(first), *(f"    {visible(line)}" for line in rest)]


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
