"""Labels of an entity that have the names of Foreshock's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from foreshock_pipelines.prometheus.labels import OWN_LABELS, exported_labels

NAMES = st.sampled_from(["job", "exported_job", "exported_exported_job", "severity", "instance", "__name__"])


def test_a_label_called_as_one_of_foreshocks_is_exported() -> None:
    labels = {"job": "web", "severity": "gold", "instance": "web-1"}
    assert exported_labels(labels) == {"exported_job": "web", "exported_severity": "gold", "instance": "web-1"}


def test_the_prefix_is_repeated_where_the_name_is_taken() -> None:
    labels = {"job": "web", "exported_job": "batch"}
    assert exported_labels(labels) == {"exported_exported_job": "web", "exported_job": "batch"}


@given(st.dictionaries(NAMES, st.text(max_size=3)))
def test_no_value_is_lost_and_no_name_collides(labels: dict[str, str]) -> None:
    renamed = exported_labels(labels)
    assert list(renamed.values()) == list(labels.values())
    assert not OWN_LABELS & set(renamed)
    assert exported_labels(renamed) == renamed
