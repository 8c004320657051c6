"""Label names in queries."""

from __future__ import annotations

import pytest

from foreshock_pipelines.prometheus.promql import by, quoted


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("instance", "instance"),
        ("_a1", "_a1"),
        ("service.name", '"service.name"'),
        ("größe", '"größe"'),
        ("1a", '"1a"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("a\n", '"a\n"'),
    ],
)
def test_a_name_that_is_not_plain_is_quoted(label: str, text: str) -> None:
    assert quoted(label) == text


def test_names_are_grouped_by() -> None:
    assert by(["instance", "service.name"]) == 'by (instance, "service.name")'
