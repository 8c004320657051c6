"""Rows that a transaction may see: of one tenant, and of some jobs.

Every statement is narrowed here, whatever wrote it, so that no query can forget it: conditions are added to each
SELECT, UPDATE and DELETE on a table of a tenant, at any depth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.sql import visitors
from sqlalchemy.sql.selectable import Alias, FromClause, Join

__all__ = [
    "DEFAULT_TENANT", "NOTHING", "OPTION", "Scope", "current_tenant", "narrow", "request_scope", "tenant_column",
    "unscoped", "within",
]  # fmt: skip

DEFAULT_TENANT = "default"
OPTION = "foreshock_scope"
"""Execution option of a connection: its `Scope`; without one, it is of the installation, and sees all tenants."""
SETTING = "foreshock.tenant"
"""Setting of PostgreSQL that its policies compare with: a tenant, or one of the two below."""
ALL, SOMEBODY = "*", "-"
"""All tenants; and whoever asks, until it is known who: the tables of identity and audit alone."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Rows of one tenant.

    Attributes
    ----------
    jobs : patterns of names of jobs, in which ``*`` stands for any letters; None: all
    """

    tenant: str
    jobs: tuple[str, ...] | None = None


NOTHING = Scope("", ())
"""No row at all: of a request before it is known who asks, and for what."""
request_scope: ContextVar[Scope | None] = ContextVar("foreshock_scope", default=None)
"""The scope of the request at hand; None outside of requests."""


@contextmanager
def within(scope: Scope) -> Iterator[None]:
    """Narrow all transactions of this task or thread while the block runs."""
    before = request_scope.set(scope)
    try:
        yield
    finally:
        request_scope.reset(before)


def current_tenant() -> str:
    """Return the tenant that this task or thread works for."""
    scope = request_scope.get()
    return DEFAULT_TENANT if scope is None else scope.tenant


def tenant_column() -> sa.Column[str]:
    """Make the column of the tenant that a row belongs to: that of the scope in which it is inserted."""
    return sa.Column("tenant", sa.String(64), nullable=False, default=_stamp, server_default=DEFAULT_TENANT)


def _stamp(context: Any) -> str:
    scope = context.execution_options.get(OPTION)
    return DEFAULT_TENANT if scope is None else scope.tenant


@contextmanager
def unscoped() -> Iterator[None]:
    """See the rows of every tenant while the block runs: to find out whose a credential is."""
    before = request_scope.set(None)
    try:
        yield
    finally:
        request_scope.reset(before)


def narrow(engine: Engine) -> None:
    """Narrow each statement on an engine by the scope of its connection, and tell PostgreSQL of the scope."""
    sa.event.listen(engine, "before_execute", _before_execute, retval=True)
    if engine.dialect.name == "postgresql":
        sa.event.listen(engine, "begin", _tell)


def _tell(connection: Connection) -> None:
    scope = connection.get_execution_options().get(OPTION)
    tenant = ALL if scope is None else SOMEBODY if scope == NOTHING else scope.tenant
    connection.exec_driver_sql("SELECT set_config(%s, %s, true)", (SETTING, tenant))


def _before_execute(
    connection: Connection, statement: Any, multiparams: Any, params: Any, options: Any
) -> tuple[Any, Any, Any]:
    scope = connection.get_execution_options().get(OPTION)
    if scope is not None and isinstance(statement, sa.sql.ClauseElement):
        statement = narrowed(statement, scope)
    return statement, multiparams, params


def narrowed(statement: Any, scope: Scope) -> Any:
    """Return the statement with its conditions."""

    def select(found: Any) -> None:
        for source in found.get_final_froms():
            for table, columns in _tables(source):
                found._where_criteria += tuple(_conditions(table, columns, scope))

    def change(found: Any) -> None:
        found._where_criteria += tuple(_conditions(found.table, found.table.c, scope))

    return visitors.cloned_traverse(statement, {}, {"select": select, "update": change, "delete": change})


def _tables(source: FromClause) -> Iterator[tuple[sa.Table, Any]]:
    """Tables of a FROM, with the columns by which the statement calls them."""
    if isinstance(source, sa.Table):
        yield source, source.c
    elif isinstance(source, Join):
        yield from _tables(source.left)
        yield from _tables(source.right)
    elif isinstance(source, Alias) and isinstance(source.element, sa.Table):
        yield source.element, source.c


def _conditions(table: sa.Table, columns: Any, scope: Scope) -> Iterable[Any]:
    if table.info.get("unscoped"):
        return
    if "tenant" in table.c:
        yield columns.tenant == scope.tenant
    if scope.jobs is not None:
        patterns = scope.jobs

        def matches(job: Any) -> Any:
            return sa.or_(sa.false(), *(job.like(_like(pattern), escape="\\") for pattern in patterns))

        if "job" in table.c:
            yield matches(columns.job)
        elif "of_jobs" in table.info:
            yield table.info["of_jobs"](columns, matches)


def _like(pattern: str) -> str:
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")
