"""Ids as people type them: whole, or as much of the beginning as names one thing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import sqlalchemy as sa

from foreshock.store import tables as t
from foreshock.store.store import Store
from foreshock_models.errors import ConfigError, StoreError

__all__ = ["find_id", "only"]

TABLES = {"alert": t.alerts, "incident": t.incidents, "silence": t.silences, "run": t.runs}
NAMED = 5
"""Ids that an error of an ambiguous one names."""


def find_id(store: Store, noun: Literal["alert", "incident", "silence", "run"], word: str) -> str:
    """Return the id of an alert, incident, silence or run that is `word` or, of all, alone in beginning with it.

    Raises
    ------
    StoreError
        None begins so.
    ConfigError
        More than one does.
    """
    column = TABLES[noun].c.id
    query = sa.select(column).order_by(column)
    with store.begin() as c:
        found = list(c.execute(query.where(column == word)).scalars())
        if not found and word:
            begins = sa.func.substr(column, 1, len(word)) == word
            found = list(c.execute(query.where(begins).limit(NAMED + 1)).scalars())
    if not found:
        raise StoreError(f"no {noun} {word!r}; see: foreshock {noun}s list")
    return only(noun, word, found)


def only(noun: str, word: str, found: Sequence[str]) -> str:
    """Return the one that is found; ConfigError names several."""
    if len(found) == 1:
        return found[0]
    more = ", ..." if len(found) > NAMED else ""
    raise ConfigError(
        f"{noun} {word!r} is ambiguous: {', '.join(found[:NAMED])}{more}; write more of the one that is meant"
    )
