"""Bring the tables of a database to a version of the schema, up or down."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from foreshock_models.errors import StoreError

if TYPE_CHECKING:
    from foreshock.store.store import Store

__all__ = ["downgrade", "newest_revision", "upgrade"]

LOCK = 7_351_001
ATTEMPTS, PAUSE = 50, 0.2
REVISION = re.compile(r'^revision = "(\w+)"', re.M)
DOWN_REVISION = re.compile(r'^down_revision = "(\w+)"', re.M)
MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(store: Store, to: str = "head") -> None:
    """Migrate up to a revision; waits for a database that is just starting.

    Raises
    ------
    StoreError
        It cannot be reached, or is of a newer Foreshock.
    """
    if to == "head" and _is_newest(store):
        return  # as nearly always: whoever opens the store need not load alembic
    from alembic import command

    for attempt in range(ATTEMPTS):
        try:
            _run(store, command.upgrade, to)
            return
        except StoreError:
            if attempt == ATTEMPTS - 1 or store.engine.dialect.name == "sqlite":
                raise
            time.sleep(PAUSE)
        except Exception as exc:
            if type(exc).__module__.startswith("alembic"):
                raise StoreError(f"{store.where}: of a newer Foreshock: {exc}") from exc
            raise


def downgrade(store: Store, to: str) -> None:
    """Migrate down to a revision; rows stay, columns that it does not know are dropped."""
    from alembic import command

    _run(store, command.downgrade, to)


def _is_newest(store: Store) -> bool:
    try:
        with store.engine.connect() as connection:
            found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all()
    except sa.exc.SQLAlchemyError:  # no tables yet, or nobody answers yet
        return False
    return found == [newest_revision()]


def newest_revision() -> str:
    """Return the revision that no other one follows, read from the files: alembic takes a second to load."""
    texts = [path.read_text(encoding="utf-8") for path in (MIGRATIONS / "versions").glob("*.py")]
    names = {match[1] for text in texts if (match := REVISION.search(text))}
    (newest,) = names - {match[1] for text in texts if (match := DOWN_REVISION.search(text))}
    return newest


def _run(store: Store, step: object, to: str) -> None:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))  # it interpolates values
    config.set_main_option("path_separator", "os")
    with store.begin() as connection:
        if store.engine.dialect.name == "postgresql":  # two processes that start at once
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
        config.attributes["connection"] = connection
        step(config, to)  # type: ignore[operator]
