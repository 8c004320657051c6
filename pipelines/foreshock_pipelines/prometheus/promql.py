"""Label names as PromQL writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["by", "is_plain", "quoted"]

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_plain(label: str) -> bool:
    """True for a name that every version of Prometheus takes, without quotes."""
    return PLAIN.fullmatch(label) is not None


def quoted(label: str) -> str:
    r"""Return a label name as a query writes it; one that is not plain is quoted, as Prometheus 3 wants it.

    >>> quoted("instance"), quoted("service.name")
    ('instance', '"service.name"')
    """
    if is_plain(label):
        return label
    return '"' + label.replace("\\", "\\\\").replace('"', '\\"') + '"'


def by(labels: Sequence[str]) -> str:
    """Return what groups by labels: ``by (instance, "service.name")``."""
    return f"by ({', '.join(map(quoted, labels))})"
