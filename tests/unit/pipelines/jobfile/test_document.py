"""YAML within bounds."""

from __future__ import annotations

import time
from datetime import date

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile import document
from foreshock_pipelines.jobfile.document import MAX_VALUES, parse_yaml

ALIASES = "events:\n- &a0 [x, x]\n" + "".join(f"- &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ALIASES, "events: more than 20,000 values"),
        ("a: &t '" + "x" * 300_000 + "'\nb: [" + "*t, " * 100 + "]", "b: more than 4 MiB of text"),
        ("events: &a [*a]", "line 1, events: an alias (*...) that stands inside"),
        ("a: &a {b: *a}", "stands inside"),
        ("a: &a {<<: *a}", "stands inside"),
        ("[" * 500_000, "nested more than 32 deep"),
        ("- " * 500_000, "nested more than 32 deep"),
        ("{a: " * 200_000, "nested more than 32 deep"),
        ("? " * 400_000, "nested more than 32 deep"),
        ("[" + "a, " * 300_000 + "]", f"more than {MAX_VALUES:,} values"),
        ("".join(f"k{i}: &a{i} x\n" for i in range(60_000)), f"more than {MAX_VALUES:,} values"),
        ("%TAG !x! y\n" * 90_000 + "--- a", "%TAG"),
        ("a: " + "9" * 5000, "line 1, a: a number of too many digits"),
        ("a: 1" + ":01" * 300_000, "line 1, a: a number of too many digits"),
        ("a: 1." + "0" * 900_000, "line 1, a: a number of too many digits"),
        ("a: {b: [1, .inf]}", "a.b.1: inf is not a finite number"),
        ("a: .nan", "a: nan is not a finite number"),
        ("a: 1.0e+999", "a: inf is not a finite number"),
        ("a: 99999999999999999999", "a: a number of too many digits"),
        ("a: 2026-02-30", "line 1, a: no such date"),
        ("a: 1\n? [a]\n: b", "line 2: a key must be text"),
        ("queries:\n  on: up", "line 2, queries.on: the key reads as true or false; put it into quotes"),
        ("1: a", "the key reads as a number"),
        ("~: a", "the key reads as empty"),
        ("2026-01-01: a", "the key reads as a date"),
        ("a: 1\nb: 2\na: 3", "line 3, a: the key 'a' stands twice"),
        ("a: {<<: {x: 1}, <<: {y: 1}}", "stands twice"),
        ("a: {<<: 1}", "expected a mapping"),
        ("a:\n\tb: 1", "line 2, a.b, column 1: a tab"),
        ("a: 1\n---\nb: 2", "found another document"),
        ('a: "\\ud800"', "line 1, a"),
        ("a: \ud800", "half of a character"),
        ("a: b: c", "line 1, a, column 5"),
        ("- a\nb: 1", "line 2, b, column 1"),
    ],
)
def test_what_no_job_file_needs_is_one_line_in_less_than_a_second(text: str, says: str) -> None:
    began = time.perf_counter()
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "j.yaml")
    assert time.perf_counter() - began < 1
    assert says in str(caught.value)
    assert str(caught.value).startswith("j.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "password: *hunter2", "password: !hunter2 x", "password: !!python/object/apply:os.system [hunter2]",
        "password: x: hunter2", "password: 'hunter2", "password: %hunter2", "password: @hunter2",
        'password: "\\hunter2"', "password: [hunter2", "password: &hunter2 &hunter2 x", "password: hunter2\0",
    ],
)  # fmt: skip
def test_an_error_names_the_key_and_never_the_value(line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(f"source:\n  basic_auth:\n    {line}\n", "j.yaml")
    assert "source.basic_auth" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_merge_key_brings_in_what_is_not_there() -> None:
    text = "q:\n  base: &b {<<: &z {query: up, unit: s}, unit: ms}\n  other: {<<: *b, query: down}\nz: *z\n"
    found = parse_yaml(text, "j.yaml")
    assert found["q"] == {"base": {"query": "up", "unit": "ms"}, "other": {"query": "down", "unit": "ms"}}
    assert parse_yaml("a: {<<: [{x: 1}, {x: 2, y: 3}]}", "j.yaml") == {"a": {"x": 1, "y": 3}}


def test_a_mapping_that_is_merged_before_it_is_made_has_each_key_once() -> None:
    found = parse_yaml("q:\n  x: &a {<<: {k: 1}, k: 2}\nb: {<<: *a}\n", "j.yaml")
    assert found == {"q": {"x": {"k": 2}}, "b": {"k": 2}}


def test_plain_values_stay_what_yaml_says_they_are() -> None:
    found = parse_yaml("{a: 1, b: 1.5, c: yes, d: ~, e: 2026-03-01, f: !!str 1, h: '3'}", "j.yaml")
    assert found == {"a": 1, "b": 1.5, "c": True, "d": None, "e": date(2026, 3, 1), "f": "1", "h": "3"}


@pytest.mark.parametrize("text", ["a: \0b", "a: [", "a: *x", "a:\n\tb: 1", "a: &a [*a]", ALIASES])
def test_without_libyaml_the_same_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    class Slow(yaml.SafeLoader):
        construct_object = document._Loader.construct_object

    monkeypatch.setattr(document, "Fast", yaml.SafeLoader)
    monkeypatch.setattr(document, "_Loader", Slow)
    with pytest.raises(ConfigError, match="line"):
        parse_yaml(text, "j.yaml")


@given(st.text(alphabet="ab:-?*&!|>{}[],'\"#%@` \n\t<~0.", max_size=60))
@settings(max_examples=400, deadline=1000)
def test_any_text_is_plain_values_or_one_line(text: str) -> None:
    try:
        parse_yaml(text, "j.yaml")
    except ConfigError as exc:
        assert "\n" not in str(exc)
