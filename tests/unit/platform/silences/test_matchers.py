"""Matchers are read, written and matched as in Alertmanager."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock.silences.matchers import LONGEST, Matcher, parse_matcher
from foreshock_models.errors import ConfigError

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('"service.name"="x"', ("service.name", "=", "x")),
        ("service.name=x", ("service.name", "=", "x")),
        ('"größe" != "zwei Wörter"', ("größe", "!=", "zwei Wörter")),
        (r'"a \"b\" \\ \t\x41\u00e4\303\244"=x', ('a "b" \\ \tAää', "=", "x")),
        ("🙂=🙃", ("🙂", "=", "🙃")),
        (" instance =~ web-.* ", ("instance", "=~", "web-.*")),
        ("instance=~web-(a|b){2}", ("instance", "=~", "web-(a|b){2}")),
        (r'instance=~"web-\d"', ("instance", "=~", r"web-\d")),
        ("path=a=b, c", ("path", "=", "a=b, c")),
        ("pod=", ("pod", "=", "")),
        ('text="two\nlines"', ("text", "=", "two\nlines")),
    ],
)
def test_a_matcher_is_read_as_by_alertmanager(text: str, read: tuple[str, str, str]) -> None:
    assert parse_matcher(text) == Matcher(*read)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=",
        "=x",
        "a",
        "a b=c",
        '"a=b',
        'a="b',
        'a=b"c',
        '""="x"',
        r'"a\q"="x"',
        r'"\xff"="x"',
        r'"\ud800"=x',
        "🙂",
    ],
)
def test_what_alertmanager_does_not_read_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a matcher; write NAME=VALUE.*service\.name"):
        parse_matcher(text)


@given(TEXT.filter(bool), st.sampled_from(["=", "!="]), TEXT)
def test_a_matcher_is_written_as_it_is_read(name: str, op: str, value: str) -> None:
    matcher = Matcher(name, op, value)
    assert parse_matcher(str(matcher)) == matcher


@pytest.mark.parametrize(
    "pattern", [r"(a)\1", "(?=x)", "(?!x)", "(?<=x)y", "(?<!x)y", "a++", "(?>a)", "(", "a{1001}", "(a{1000}){1000}"]
)
def test_a_pattern_that_re2_does_not_have_is_refused_with_what_it_lacks(pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"not a regular expression.*without backreferences"):
        parse_matcher(f"instance=~{pattern}")


def test_a_pattern_that_would_backtrack_takes_no_time() -> None:
    nested = parse_matcher(f'instance=~"{"(" * 60 + "." + "+)" * 59 + ")+X"}"')
    began = time.perf_counter()
    assert not nested.matches({"instance": "a" * 10_000})
    assert time.perf_counter() - began < 1


def test_a_pattern_whose_program_would_be_large_is_refused() -> None:
    with pytest.raises(ConfigError, match="too large"):
        parse_matcher(r"instance=~\pL{1000}\pN{1000}")


@pytest.mark.parametrize("text", ["a=" + "x" * (LONGEST + 1), "a" * (LONGEST + 1) + "=x", "a=" + "x" * 5_000_000])
def test_a_long_matcher_is_refused_in_a_short_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match=f"at most {LONGEST} characters") as raised:
        parse_matcher(text)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("text", ["a=\udcff", "a=b\0c"])
def test_a_matcher_that_no_database_can_keep_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="UTF-8 text"):
        parse_matcher(text)
