"""Tenants on both databases: rows of one are never seen by another, and nothing is left of one that was deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from tests.servers.stores import empty_tables

from foreshock.audit.repository import AuditRepository
from foreshock.audit.service import verify
from foreshock.audit.signing import sign_audit
from foreshock.audit.witness import Witness
from foreshock.identity.people import People
from foreshock.identity.tenants import Tenants
from foreshock.store import Store, open_store
from foreshock.store import tables as t
from foreshock.store.scope import Scope, within
from foreshock_models.errors import ConfigError, StateError, StoreError

MARK = "a-mark-that-is-nowhere-else"
NAME = "zyxwv-tenant"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/store.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    store = sign_audit(open_store(url), tmp_path)
    yield store
    empty_tables(store)
    store.close()


def value(column: Any, mark: str) -> Any:
    kind = column.type
    if isinstance(kind, sa.JSON):
        return {"text": mark}
    for python, made in ((bool, True), (int, 7), (float, 0.5), (bytes, mark.encode())):
        if kind.python_type is python:
            return made
    return ("open" if column.name == "state" else mark)[: kind.length or 99]


SCOPED = [table for table in t.metadata.sorted_tables if "tenant" in table.c and not table.info.get("unscoped")]


def fill(store: Store, tenant: str, mark: str) -> None:
    """A row in each table, under a tenant, written as everything writes: in the scope of that tenant."""
    with within(Scope(tenant)), store.begin() as c:
        for table in SCOPED:
            columns = [col for col in table.columns if col.name != "tenant" and col.autoincrement is not True]
            values = {column.name: value(column, mark) for column in columns}
            if table.c.tenant.default is None:
                values["tenant"] = tenant
            c.execute(sa.insert(table).values(**values))


def test_each_table_shows_the_rows_of_one_tenant_alone(store: Store) -> None:
    for tenant in ("default", NAME):
        fill(store, tenant, f"{tenant} {MARK}")
    for tenant in ("default", NAME):
        with within(Scope(tenant)), store.read() as c:
            for table in SCOPED:
                found = c.execute(sa.select(table.c.tenant)).scalars().all()
                assert found == [tenant], table.name


@pytest.mark.postgres
def test_postgresql_itself_shows_the_applications_role_one_tenant_alone(postgres_url: str, tmp_path: Path) -> None:
    owner = open_store(postgres_url)
    for tenant in ("default", NAME):
        fill(owner, tenant, f"{tenant} {MARK}")
    with owner.begin() as c:
        c.execute(sa.text("DROP ROLE IF EXISTS application"))
        c.execute(sa.text("CREATE ROLE application LOGIN NOSUPERUSER NOBYPASSRLS"))
        c.execute(sa.text("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO application"))
    raw = sa.create_engine(sa.make_url(postgres_url).set(username="application"))
    try:
        for setting, seen in ((None, []), ("default", ["default"]), (NAME, [NAME]), ("*", ["default", NAME])):
            with raw.begin() as c:
                if setting is not None:
                    c.execute(sa.text("SELECT set_config('foreshock.tenant', :t, true)"), {"t": setting})
                for table in SCOPED:
                    found = c.execute(sa.text(f"SELECT tenant FROM {table.name}")).scalars().all()
                    assert sorted(found) == seen, (table.name, setting)
        with raw.begin() as c, pytest.raises(sa.exc.ProgrammingError, match="row-level security"):
            c.execute(sa.text("SELECT set_config('foreshock.tenant', 'default', true)"))
            c.execute(sa.text(f"UPDATE alerts SET tenant = '{NAME}'"))
    finally:
        raw.dispose()
        with owner.begin() as c:
            c.execute(sa.text("DROP OWNED BY application"))
            c.execute(sa.text("DROP ROLE application"))
        empty_tables(owner)
        owner.close()


def everything(store: Store, home: Path) -> str:
    """All that is written anywhere: the bytes of the home folder, and every row of the database."""
    text = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file()).decode("latin-1")
    if store.engine.dialect.name == "postgresql":
        with store.begin() as c:
            for table in t.metadata.sorted_tables:
                text += repr(c.execute(sa.select(table)).all())
    return text


def test_nothing_is_left_of_a_tenant_that_was_deleted(store: Store, tmp_path: Path) -> None:
    tenants = Tenants(store)
    password = tenants.create(NAME, "quentin")
    fill(store, NAME, MARK)
    fill(store, "default", "stays")
    with store.begin() as c:
        AuditRepository(store, NAME)
    assert {row["name"] for row in tenants.all()} == {"default", NAME}
    lines = list(tenants.export(NAME))
    assert {line["table"] for line in lines} >= {table.name for table in SCOPED} | {"people", "audit_details"}
    assert MARK in json.dumps(lines, default=str)
    assert password not in json.dumps(lines, default=str)
    assert "argon2" not in json.dumps(lines, default=str)
    for word in (NAME, MARK, "quentin"):
        assert word in everything(store, tmp_path), word
    gone = tenants.delete(NAME, Witness(tmp_path))
    assert gone["alerts"] == 1
    for word in (NAME, MARK, "quentin"):
        assert word not in everything(store, tmp_path), word
    assert "stays" in everything(store, tmp_path)
    assert verify(store, Witness(tmp_path)).problems == []
    with store.read() as c:
        acts = [entry.act for entry in AuditRepository(store).find(c, act="tenants")]
    assert acts == ["tenants:delete", "tenants:create"]


def test_a_tenant_is_made_once_and_the_default_one_stays(store: Store, tmp_path: Path) -> None:
    tenants = Tenants(store)
    tenants.create(NAME, "quentin")
    with pytest.raises(StateError, match="already"):
        tenants.create(NAME, "other")
    with pytest.raises(StateError, match="already"):
        tenants.create("second", "quentin")
    assert {row["name"] for row in tenants.all()} == {"default", NAME}
    with pytest.raises(StateError, match="stays"):
        tenants.delete("default")
    with pytest.raises(StoreError, match="no tenant 'x'"):
        tenants.delete("x")
    with pytest.raises(ConfigError, match="no name of a tenant"):
        tenants.create("A b", "x")
    assert [person.name for person in People(store, NAME).all()] == ["quentin"]
    assert People(store).all() == []
    tenants.delete(NAME)
