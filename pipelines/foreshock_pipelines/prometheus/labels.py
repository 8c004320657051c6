"""Labels of entities beside Foreshock's own, in alerts, series and matchers alike."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["OWN_LABELS", "exported_labels", "legacy_names"]

OWN_LABELS = frozenset(
    {"__name__", "alertname", "detector", "feature", "foreshock_id", "horizon", "job", "kind", "severity"}
)
"""Names that Foreshock sets itself, in one place or another; everywhere they mean the same."""
PREFIX = "exported_"


def exported_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of an entity, those with a name of Foreshock's own renamed to ``exported_<name>``.

    The rule is that of Prometheus' scrapes: the prefix is repeated while the entity has a label of the new name.

    Examples
    --------
    >>> exported_labels({"job": "web", "instance": "web-1"})
    {'exported_job': 'web', 'instance': 'web-1'}
    >>> exported_labels({"job": "web", "exported_job": "batch"})
    {'exported_exported_job': 'web', 'exported_job': 'batch'}
    """
    renamed: dict[str, str] = {}
    for name in sorted(labels, key=len):  # as Prometheus does it: the shortest name gets the shortest prefix
        new = name
        while new in OWN_LABELS or (new != name and (new in labels or new in renamed.values())):
            new = PREFIX + new
        renamed[name] = new
    return {renamed[name]: value for name, value in labels.items()}


def legacy_names(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels whose names every version of Prometheus and Alertmanager takes.

    Before UTF-8 names that was ``[a-zA-Z_][a-zA-Z0-9_]*``; any other character becomes an underscore.

    Examples
    --------
    >>> legacy_names({"service.name": "cart", "service_name": "shop"})
    {'service_name_': 'cart', 'service_name': 'shop'}
    """
    renamed: dict[str, str] = {}
    for name, value in labels.items():
        new = re.sub(r"[^a-zA-Z0-9_]", "_", name)
        new = f"_{new}" if not new or new[0].isdigit() else new
        while new != name and (new in labels or new in renamed):
            new += "_"
        renamed[new] = value
    return renamed
