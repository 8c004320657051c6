"""Seal again, by the current key, everything in the store that an older key seals."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from foreshock.secrets.keyring import Keyring
from foreshock.secrets.sealing import reseal, sealing_key
from foreshock.store import team_tables as t
from foreshock.store.store import Store

__all__ = ["SEALED", "reseal_all", "sealed_by"]

SEALED: tuple[tuple[sa.Column[bytes], sa.Column[str]], ...] = (
    (t.people.c.second_factor, t.people.c.id),
    (t.signing_keys.c.private, t.signing_keys.c.id),
)
"""Columns that hold sealed values, and the column that tells their rows apart."""


def reseal_all(store: Store, ring: Keyring, note: Callable[[int], None] = lambda done: None) -> int:
    """Seal again what older keys seal, a row in a transaction, while others go on; gives how many."""
    done = 0
    for column, key in SEALED:
        with store.read() as c:
            ids = list(c.execute(sa.select(key).where(column.is_not(None))).scalars())
        for row in ids:
            with store.begin() as c:
                query = sa.select(column).where(key == row).with_for_update()
                sealed = c.execute(query).scalar()
                if sealed is None or sealing_key(sealed) == ring.current:
                    continue
                again = reseal(ring, sealed, f"{column.table.name}.{column.name} {row}")
                c.execute(sa.update(column.table).where(key == row).values({column.name: again}))
            done += 1
            note(done)
    return done


def sealed_by(store: Store) -> dict[bytes, int]:
    """Return how many values each key seals."""
    found: dict[bytes, int] = {}
    with store.read() as c:
        for column, _ in SEALED:
            for sealed in c.execute(sa.select(column).where(column.is_not(None))).scalars():
                found[sealing_key(sealed)] = found.get(sealing_key(sealed), 0) + 1
    return found
