"""One string for an entity, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock_models.errors import DataError
from foreshock_pipelines.datasets.entity_key import entity_key, entity_labels

TEXT = st.text(st.characters(codec="utf-8"), max_size=6) | st.text("a=,\\", max_size=6)


@given(st.dictionaries(TEXT.filter(bool), TEXT, min_size=1, max_size=4))
def test_labels_come_back_whatever_their_names_and_values(labels: dict[str, str]) -> None:
    assert entity_labels(entity_key(labels), list(labels)) == labels


@given(st.lists(st.dictionaries(TEXT.filter(bool), TEXT, min_size=2, max_size=2), min_size=2, max_size=2))
def test_two_entities_have_two_keys(pair: list[dict[str, str]]) -> None:
    one, two = pair
    if list(one) == list(two):
        assert (entity_key(one) == entity_key(two)) == (one == two)


def test_keys_that_were_written_before_names_could_be_any_text_read_the_same() -> None:
    assert entity_labels(r"a=x\,y=\\,b=p=q", ["a", "b"]) == {"a": r"x,y=" + "\\", "b": "p=q"}


@pytest.mark.parametrize("key", ["", "a", "a=x", "a=x,b", "b=x,a=y", "a=x,b=y,c=z"])
def test_what_is_no_key_of_these_labels_is_refused(key: str) -> None:
    with pytest.raises(DataError, match="does not name an entity with the labels a, b"):
        entity_labels(key, ["a", "b"])
