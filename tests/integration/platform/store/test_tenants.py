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
from foreshock.identity.access_tokens import AccessTokens
from foreshock.identity.model import everything as everything_may
from foreshock.identity.people import People
from foreshock.identity.sessions import Sessions
from foreshock.identity.tenants import Tenants
from foreshock.identity.tokens import Tokens
from foreshock.identity.verification import Verifier
from foreshock.secrets import open_keyring
from foreshock.store import Store, open_store
from foreshock.store import tables as t
from foreshock.store.engine import make_engine
from foreshock.store.scope import NOTHING, Scope, within
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


INSTALLATION = {"attempts", "config_pins", "config_versions", "erasures", "sign_in_states", "signing_keys"}
"""Tables whose rows are no tenant's, whatever their column says."""
WALLED = [table for table in t.metadata.sorted_tables if "tenant" in table.c and table.name not in INSTALLATION]
IDENTITY = {table.name for table in WALLED if table.info.get("unscoped")}
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
@pytest.mark.usefixtures("two_tenants")
@pytest.mark.parametrize("setting", [None, "", "default", NAME, "*", "-"])
def test_postgresql_itself_shows_the_applications_role_one_tenant_alone(
    application: Store, setting: str | None
) -> None:
    raw = sa.create_engine(application.engine.url)
    of_all, of_identity = ["default", NAME], setting in ("*", "-")
    with raw.begin() as c:
        if setting is not None:
            c.execute(sa.text("SELECT set_config('foreshock.tenant', :t, true)"), {"t": setting})
        for table in WALLED:
            found = c.execute(sa.text(f"SELECT tenant FROM {table.name}")).scalars().all()
            all_seen = setting == "*" or (of_identity and table.name in IDENTITY)
            assert sorted(set(found)) == (of_all if all_seen else sorted({setting} & set(of_all))), table.name
        names = c.execute(sa.text("SELECT name FROM tenants")).scalars().all()
        assert sorted(names) == (of_all if of_identity else sorted({setting} & set(of_all)))
    raw.dispose()


@pytest.mark.postgres
@pytest.mark.usefixtures("two_tenants")
def test_postgresql_itself_lets_the_applications_role_move_no_row_to_another_tenant(application: Store) -> None:
    raw = sa.create_engine(application.engine.url)
    for table in WALLED:
        with raw.begin() as c, pytest.raises(sa.exc.DBAPIError, match=r"row-level security|cannot be changed"):
            c.execute(sa.text("SELECT set_config('foreshock.tenant', 'default', true)"))
            c.execute(sa.text(f"UPDATE {table.name} SET tenant = '{NAME}'"))
    raw.dispose()


@pytest.mark.postgres
def test_each_table_of_tenants_is_behind_the_second_wall(application: Store) -> None:
    with application.read() as c:
        query = "SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity"
        walled = set(c.execute(sa.text(query)).scalars())
    assert walled == {table.name for table in WALLED} | {"tenants"}


@pytest.mark.postgres
def test_people_sign_in_and_are_audited_by_the_applications_role(application: Store, tmp_path: Path) -> None:
    sign_audit(application, tmp_path)

    def ring() -> Any:
        return open_keyring(tmp_path)

    access = AccessTokens(application, ring)
    sessions, verifier = Sessions(application, access, ring), Verifier("", application, access)
    first = People(application, NAME).add("anna", "admin")[1]
    with within(NOTHING):
        done = sessions.login("anna", first)
    with within(Scope(NAME)):
        sessions.change_password(done.person.id, done.session, first, "three green tortoises")
        token = Tokens(application, NAME).make("ci", ["viewer"], by=everything_may("local", "anna", NAME))[1]
    with within(NOTHING):
        again = sessions.refresh(done.refresh_token)
        assert verifier.principal(again.access_token).tenant == NAME
        assert verifier.principal(token).tenant == NAME
    for tenant, seen in ((NAME, ["tokens:make", "auth:password", "auth:login", "users:add"]), ("default", [])):
        with within(Scope(tenant)), application.read() as c:
            assert [e.act for e in AuditRepository(application, NAME).find(c, limit=4)] == seen
            assert [p.name for p in People(application, NAME).all()] == (["anna"] if seen else [])


@pytest.fixture
def application(postgres_url: str) -> Iterator[Store]:
    """A store that is opened by a role that row-level security holds for."""
    owner = open_store(postgres_url)
    with owner.begin() as c:
        c.execute(sa.text("DROP ROLE IF EXISTS application"))
        c.execute(sa.text("CREATE ROLE application LOGIN NOSUPERUSER NOBYPASSRLS"))
        c.execute(sa.text("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO application"))
        c.execute(sa.text("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO application"))
    store = Store(make_engine(sa.make_url(postgres_url).set(username="application").render_as_string(False)))
    try:
        yield store
    finally:
        store.close()
        with owner.begin() as c:
            c.execute(sa.text("DROP OWNED BY application"))
            c.execute(sa.text("DROP ROLE application"))
        empty_tables(owner)
        owner.close()


@pytest.fixture
def two_tenants(application: Store) -> None:
    """A row of each of two tenants in every table."""
    for tenant in ("default", NAME):
        fill(application, tenant, f"{tenant} {MARK}")
        fill_identity(application, tenant)


def fill_identity(store: Store, tenant: str) -> None:
    """A row in each table of people and of the audit log, under a tenant."""
    with store.begin() as c:
        if tenant != "default":
            c.execute(sa.insert(t.metadata.tables["tenants"]).values(name=tenant, created_ms=0))
        for name in IDENTITY:
            columns = [col for col in t.metadata.tables[name].columns if col.name != "tenant"]
            values = {column.name: value(column, f"{tenant} {MARK}") for column in columns}
            c.execute(sa.insert(t.metadata.tables[name]).values(**values, tenant=tenant))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET leaf = 'x'", "DELETE FROM audit", "TRUNCATE audit",
        "UPDATE audit_details SET act = 'x'", "UPDATE audit_details SET who = 'x'", "DELETE FROM audit_details",
        "TRUNCATE audit_details", "TRUNCATE audit, audit_details CASCADE",
    ],
)  # fmt: skip
def test_the_database_itself_refuses_to_change_the_audit_log(store: Store, statement: str) -> None:
    if statement.startswith("TRUNCATE") and store.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no TRUNCATE")
    People(store).add("anna", "admin")
    with store.engine.connect() as c, pytest.raises(sa.exc.DBAPIError, match="the audit log cannot be changed"):
        c.exec_driver_sql(statement)
    with store.read() as c:
        assert [entry.who for entry in AuditRepository(store).find(c)] == ["foreshock"]


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
