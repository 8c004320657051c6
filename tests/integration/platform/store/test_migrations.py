"""Migrations with data in the tables, up and down, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from foreshock.audit import Actor, acting, record
from foreshock.store import Store, open_store
from foreshock.store.migrate import downgrade, upgrade
from foreshock.store.tables import metadata


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/store.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    store = open_store(url)
    yield store
    upgrade(store)
    downgrade(store, "0001")  # the tables of later ones, with triggers that refuse to delete, go with them
    with store.begin() as c:
        for name in sa.inspect(c).get_table_names():
            if name != "alembic_version":
                c.execute(sa.delete(metadata.tables[name]))
    upgrade(store)
    store.close()


def value(column: Any) -> Any:
    """Something that fits a column."""
    kind = column.type
    if isinstance(kind, sa.JSON):
        return {"text": "ä", "number": 1.5}
    for python, made in ((bool, True), (int, 7), (float, 0.5), (bytes, b"\x00\xff")):
        if kind.python_type is python:
            return made
    return "open" if column.name == "state" else f"a {column.name}"[: kind.length or 99]


def fill(store: Store) -> None:
    """A row in every table that there is."""
    present = sa.MetaData()
    present.reflect(store.engine)
    with store.begin() as c:
        for name, table in present.tables.items():
            known = metadata.tables.get(name)
            if known is None:
                continue
            columns = [column for column in known.columns if column.name in table.columns]
            c.execute(sa.insert(table).values({column.name: value(column) for column in columns}))


def rows(store: Store) -> dict[str, list[dict[str, Any]]]:
    present = sa.MetaData()
    present.reflect(store.engine)
    with store.begin() as c:
        return {
            name: [dict(row) for row in c.execute(sa.select(table)).mappings()]
            for name, table in present.tables.items()
            if name != "alembic_version"
        }


def test_rows_of_the_first_version_survive_all_migrations_and_the_way_back(store: Store) -> None:
    downgrade(store, "0001")
    fill(store)
    before = rows(store)
    assert all(len(found) == 1 for found in before.values())
    upgrade(store)
    after = rows(store)
    for name, found in before.items():
        assert found[0].items() <= after[name][0].items(), name
    downgrade(store, "0001")
    assert rows(store) == before


def test_rows_of_the_newest_version_survive_the_way_down_and_up(store: Store) -> None:
    fill(store)
    downgrade(store, "0001")
    old = rows(store)
    assert len(old["alerts"]) == 1
    upgrade(store)
    assert {name: len(found) for name, found in rows(store).items() if name in old} == dict.fromkeys(old, 1)


def test_every_migration_can_be_taken_back_one_at_a_time(store: Store) -> None:
    while True:
        with store.begin() as c:
            version = c.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one()
        if version == "0001":
            break
        downgrade(store, "-1")
    upgrade(store)
    found = sa.inspect(store.engine)
    assert {c["name"] for c in found.get_columns("alerts")} == set(metadata.tables["alerts"].columns.keys())


def test_names_of_people_in_audit_entries_survive_the_way_down(store: Store) -> None:
    with acting(Actor("anna", "person")), store.begin() as c:
        record(store, c, "users:add", "benjamin", owner="carlotta", roles=["viewer"])
    downgrade(store, "second_wall")
    with store.begin() as c:
        subject, data = c.execute(sa.text("SELECT subject, data FROM audit_details")).one()
    assert (subject, json.loads(data)) == ("benjamin", {"roles": ["viewer"], "owner": "carlotta"})
    with store.engine.connect() as c, pytest.raises(sa.exc.DBAPIError, match="cannot be changed"):
        c.exec_driver_sql("UPDATE audit_details SET who = 'x'")
