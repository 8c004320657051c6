"""No statement sees, changes or deletes a row outside of its scope, whatever its shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from foreshock.store import Store, open_store
from foreshock.store import tables as t
from foreshock.store.scope import NOTHING, Scope, within

SCOPED = [table for table in t.metadata.sorted_tables if "tenant" in table.c and not table.info.get("unscoped")]
ACME, WEB = Scope("acme"), Scope("default", ("web-*", "a_b"))
JOBS = ("web-1", "web-2", "db", "a_b", "axb", "web%", "w")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    for tenant in ("default", "acme"):
        with within(Scope(tenant)), store.begin() as c:
            for n, job in enumerate(JOBS):
                run = {"id": f"{tenant}-{job}", "job": job, "kind": "train", "state": "failed", "due_ms": n}
                c.execute(sa.insert(t.runs).values(**run, cause="test", result={}))
    yield store
    store.close()


r = t.runs.c
alias = t.runs.alias("other")
cte = sa.select(r.id, r.job).cte("some")
QUESTIONS: dict[str, Any] = {
    "all": sa.select(r.id),
    "by id": sa.select(r.id).where(sa.or_(r.id == "acme-db", r.id == "default-db", sa.true())),
    "an alias": sa.select(alias.c.id),
    "a subquery": sa.select(r.id).where(r.id.in_(sa.select(alias.c.id))),
    "a derived table": sa.select(sa.select(r.id).subquery().c.id),
    "a CTE": sa.select(cte.c.id),
    "a union": sa.union_all(sa.select(r.id).where(r.due_ms < 3), sa.select(r.id).where(r.due_ms >= 3)),
    "a join": sa.select(r.id).join(alias, alias.c.id == r.id),
    "an outer join": sa.select(r.id).select_from(t.runs.outerjoin(alias, alias.c.id == r.id)),
    "two tables": sa.select(r.id).where(r.id == alias.c.id),
    "grouped": sa.select(sa.func.max(r.id)).group_by(r.id),
    "ordered and limited": sa.select(r.id).order_by(r.due_ms).limit(1000),
    "exists": sa.select(r.id).where(sa.exists().where(alias.c.id == r.id)),
    "a scalar": sa.select(sa.select(alias.c.id).where(alias.c.id == r.id).scalar_subquery()).where(r.id != ""),
}  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_sees_the_rows_of_its_scope_alone(store: Store, question: str) -> None:
    def seen(scope: Scope) -> set[str]:
        with within(scope), store.read() as c:
            return set(c.execute(QUESTIONS[question]).scalars())

    assert seen(ACME) == {f"acme-{job}" for job in JOBS}
    assert seen(WEB) == {"default-web-1", "default-web-2", "default-a_b"}
    assert seen(NOTHING) == set()


CHANGES: dict[str, Callable[[], Any]] = {
    "update": lambda: sa.update(t.runs).values(cause="changed"),
    "update by a subquery": lambda: (
        sa.update(t.runs).where(r.id.in_(sa.select(alias.c.id))).values(cause="changed")
    ),
    "delete": lambda: sa.delete(t.runs),
    "delete by a subquery": lambda: sa.delete(t.runs).where(r.id.in_(sa.select(alias.c.id).limit(99))),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("scope", "number"), [(ACME, 7), (WEB, 3), (NOTHING, 0)])
def test_a_change_reaches_the_rows_of_its_scope_alone(store: Store, change: str, scope: Scope, number: int) -> None:
    with within(scope), store.begin() as c:
        assert c.execute(CHANGES[change]()).rowcount == number
    with store.read() as c:
        left = c.execute(sa.select(sa.func.count()).where(r.cause == "test").select_from(t.runs)).scalar_one()
    assert left == 14 - number


def test_outside_of_a_scope_all_tenants_are_seen_and_new_rows_are_of_the_default_one(store: Store) -> None:
    with store.begin() as c:
        assert c.execute(sa.select(sa.func.count()).select_from(t.runs)).scalar_one() == 14
        c.execute(sa.insert(t.served), [{"job": "web-1", "kind": "train", "due_ms": 1}])
        assert c.execute(sa.select(t.served.c.tenant)).scalar_one() == "default"


def test_every_table_has_a_tenant_and_narrows_jobs_where_it_has_them() -> None:
    without = {table.name for table in t.metadata.sorted_tables if "tenant" not in table.c}
    assert without == {"tenants"}
    of_no_job = {table.name for table in SCOPED if "job" not in table.c and "of_jobs" not in table.info}
    # silences are checked by their matchers; the others are shown to nobody over HTTP
    assert of_no_job == {"ack_links", "notices", "outbox", "pages", "readers", "silences", "threads"}


def test_incidents_of_jobs_that_one_may_not_see_are_not_seen(store: Store) -> None:
    def alert(name: str, job: str) -> dict[str, Any]:
        fields = {"entity": "e", "labels": {}, "kind": "anomaly", "state": "resolved", "severity": "info"}
        times = {"opened_ms": 1, "updated_ms": 1, "score": 1.0, "peak": 1.0, "causes": [], "summary": ""}
        return {"id": name, "job": job, **fields, **times}

    def incident(name: str) -> dict[str, Any]:
        values: dict[str, Any] = {"id": name}
        for column in t.incidents.columns:
            if column.name in ("id", "tenant", "seq") or column.nullable or column.server_default is not None:
                continue
            values[column.name] = [] if isinstance(column.type, sa.JSON) else column.type.python_type()
        return values

    with store.begin() as c:
        c.execute(sa.insert(t.alerts), [alert("mine", "web-1"), alert("other", "db")])
        for name in ("mine", "mixed", "foreign", "empty"):
            c.execute(sa.insert(t.incidents).values(**incident(name), tenant="default"))
        pairs = [("mine", "mine"), ("mixed", "mine2"), ("mixed", "other2"), ("foreign", "other")]
        c.execute(sa.insert(t.alerts), [alert("mine2", "web-2"), alert("other2", "db")])
        for name, one in pairs:
            values = {"tenant": "default", "incident": name, "alert": one, "at_ms": 1, "node": "", "why": ""}
            known = {k: v for k, v in values.items() if k in t.members.c}
            c.execute(sa.insert(t.members).values(**known))
        for one in ("mine", "other"):
            c.execute(sa.insert(t.history).values(alert=one, at_ms=1, event="opened", who="x", why=""))
    with within(WEB), store.read() as c:
        assert c.execute(sa.select(t.incidents.c.id)).scalars().all() == ["mine"]
        assert set(c.execute(sa.select(t.members.c.alert)).scalars()) == {"mine", "mine2"}
        assert c.execute(sa.select(t.history.c.alert)).scalars().all() == ["mine"]
    with within(Scope("default")), store.read() as c:
        assert len(c.execute(sa.select(t.incidents.c.id)).scalars().all()) == 4
