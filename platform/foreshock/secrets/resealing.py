"""Seal again, by the current key, everything in the store that an older key seals, while others go on."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.secrets.key_file import KeyFile
from foreshock.secrets.keyring import Keyring
from foreshock.secrets.sealing import reseal, sealing_key
from foreshock.store import team_tables as t
from foreshock.store.store import Store
from foreshock_models.errors import StateError

__all__ = ["SEALED", "forget_old_keys", "hold_keys", "reseal_all", "sealed_by"]

SEALED: tuple[tuple[sa.Column[bytes], sa.Column[str]], ...] = (
    (t.people.c.second_factor, t.people.c.id),
    (t.signing_keys.c.private, t.signing_keys.c.id),
)
"""Columns that hold sealed values, and the column that tells their rows apart."""
LOCK = 7_351_003
ROUNDS = 100
EACH = 50
"""Rows in one transaction: others wait for it."""


def hold_keys(store: Store, c: Connection) -> None:
    """Let no key be forgotten until this transaction ends: to be called before the keys are read in it.

    On SQLite the transaction itself is enough: one that writes excludes all others that do.
    """
    if store.engine.dialect.name == "postgresql":
        c.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(LOCK)))


def reseal_all(store: Store, ring: Keyring) -> int:
    """Seal again what older keys seal, some rows in a transaction, while others go on; gives how many."""
    done = 0
    for column, key in SEALED:
        with store.read() as c:
            rows = c.execute(sa.select(key, column).where(column.is_not(None))).all()
        old = [row for row, sealed in rows if sealing_key(sealed) != ring.current]
        for at in range(0, len(old), EACH):
            with store.begin() as c:
                done += sum(_reseal(c, ring, column, key, row) for row in old[at : at + EACH])
    return done


def _reseal(c: Connection, ring: Keyring, column: sa.Column[bytes], key: sa.Column[str], row: str) -> bool:
    sealed = c.execute(sa.select(column).where(key == row).with_for_update()).scalar()
    if sealed is None or sealing_key(sealed) == ring.current:
        return False
    again = reseal(ring, sealed, f"{column.table.name}.{column.name} {row}")
    c.execute(sa.update(column.table).where(key == row).values({column.name: again}))
    return True


def forget_old_keys(store: Store, file: KeyFile, ring: Keyring) -> Keyring:
    """Take the older keys out of the file once nothing is sealed by them, and nobody is about to seal by them.

    Raises
    ------
    StateError
        Something is sealed by a key that is not the current one, again and again, as by a machine that has others.
    """
    for _ in range(ROUNDS):
        with store.begin() as c:
            if store.engine.dialect.name == "postgresql":
                c.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
            if set(_sealed_by(c)) <= {ring.current}:
                return file.keep(ring.current)
        reseal_all(store, ring)
    raise StateError("others go on sealing by an older key; look whether all machines have the same keys")


def sealed_by(store: Store) -> dict[bytes, int]:
    """Return how many values each key seals."""
    with store.read() as c:
        return _sealed_by(c)


def _sealed_by(c: Connection) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for column, _ in SEALED:
        for sealed in c.execute(sa.select(column).where(column.is_not(None))).scalars():
            found[sealing_key(sealed)] = found.get(sealing_key(sealed), 0) + 1
    return found
