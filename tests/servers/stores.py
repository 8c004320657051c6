"""Empty a store that tests share."""

from __future__ import annotations

import sqlalchemy as sa

from foreshock.store import Store
from foreshock.store import team_tables as t
from foreshock.store.scope import DEFAULT_TENANT
from foreshock.store.tables import metadata

__all__ = ["empty_tables"]


def empty_tables(store: Store) -> None:
    """Delete all rows; those of the audit log as if each tenant were deleted, which is what its triggers allow."""
    with store.begin() as c:
        tenants = c.execute(sa.select(t.audit_heads.c.tenant)).scalars().all()
        for tenant in tenants:
            c.execute(sa.insert(t.erasures).values(tenant=tenant, began_ms=0))
        for table in reversed(metadata.sorted_tables):
            if table is not t.erasures:
                c.execute(sa.delete(table))
        c.execute(sa.insert(t.tenants).values(name=DEFAULT_TENANT, created_ms=0))
        c.execute(sa.delete(t.erasures))
