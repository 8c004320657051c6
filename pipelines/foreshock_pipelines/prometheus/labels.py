"""Labels of entities beside Foreshock's own, in alerts, series and matchers alike."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["OWN_LABELS", "exported_labels"]

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
