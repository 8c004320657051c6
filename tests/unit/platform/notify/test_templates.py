"""Templates of messages, of Foreshock and of people."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from foreshock.notify.limits import Rule, wait_ms
from foreshock.notify.templates import ESCAPES, Templates
from foreshock.notify.translations import TRANSLATIONS

EVENTS = ("paged", "escalated", "acknowledged", "resolved", "reopened", "joined", "digest", "shift", "message")


def payload(event: str = "paged", title: str = "latency of db") -> dict[str, Any]:
    return {
        "id": "i1", "event": event, "links": {"incident": "http://f/i1"},
        "incident": {"id": "i1", "title": title, "severity": "warning", "since": "10:00", "entities": ["db"]},
    }  # fmt: skip


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    return Templates(tmp_path)


def write(tmp_path: Path, text: str, name: str = "slack.j2") -> None:
    (tmp_path / name).write_text(text)


GOOD = "{% block title %}{{ level }}: {{ title }}{% endblock %}{% block body %}{{ details }}{% endblock %}"


@pytest.mark.parametrize("language", sorted(TRANSLATIONS))
@pytest.mark.parametrize("kind", ["text", "email", "sms"])
@pytest.mark.parametrize("event", EVENTS)
def test_built_in_templates_render_every_event_in_every_language(language: str, kind: str, event: str) -> None:
    done = Templates().render("none", "html", payload(event), kind=kind, language=language)
    assert "latency of db" in done.title + done.body
    assert done.problem is None


def test_every_language_has_the_same_words() -> None:
    assert {frozenset(words) for words in TRANSLATIONS.values()} == {frozenset(TRANSLATIONS["en"])}


def test_a_template_of_ones_own_is_used_and_that_of_the_language_first(
    templates: Templates, tmp_path: Path
) -> None:
    write(tmp_path, GOOD)
    assert templates.render("slack", "slack", payload()).title == "warning: latency of db"
    write(tmp_path, GOOD.replace("level", "words[level]"), "slack.de.j2")
    assert templates.render("slack", "slack", payload(), language="de").title == "Warnung: latency of db"


@pytest.mark.parametrize(
    "broken",
    [
        "{% block title %}{{ nothing }}{% endblock %}{% block body %}{% endblock %}",
        "{% block title %}{{",
        "{% block title %}x{% endblock %}",
        GOOD.replace("details", "details.no.such"),
        GOOD.replace("details", "1 / 0"),
        GOOD.replace("details", "''.__class__.__mro__[1].__subclasses__()"),
        GOOD.replace("details", "range(10 ** 9) | list"),
        GOOD.replace("{{ details }}", "{% for i in range(99999) %}{{ title }}{% endfor %}"),
        GOOD.replace(
            "{{ details }}", "{% for i in range(9999) %}{% for j in range(9999) %}{{ '' }}{% endfor %}{% endfor %}"
        ),
    ],
)  # fmt: skip
def test_a_broken_or_hostile_template_falls_back_to_the_built_in_one_and_says_so(
    templates: Templates, tmp_path: Path, broken: str
) -> None:
    write(tmp_path, broken)
    done = templates.render("slack", "slack", payload())
    assert done.title == "[warning] New incident: latency of db"
    assert done.problem is not None and done.problem.startswith("the template 'slack' is broken")
    assert "is broken" in done.body


@pytest.mark.parametrize(
    ("escape", "shown"),
    [
        ("plain", "<b>*x*&"), ("html", "&lt;b&gt;*x*&amp;"), ("slack", "&lt;b&gt;*x*&amp;"),
        ("markdown", r"\<b\>\*x\*&"),
    ],
)  # fmt: skip
def test_text_of_others_is_escaped_for_its_channel(
    templates: Templates, tmp_path: Path, escape: str, shown: str
) -> None:
    write(tmp_path, GOOD)
    assert templates.render("slack", escape, payload(title="<b>*x*&")).title == f"warning: {shown}"
    assert shown in templates.render("none", escape, payload(title="<b>*x*&")).title
    assert set(ESCAPES) == {"plain", "html", "slack", "markdown"}


def test_a_title_is_one_line(templates: Templates) -> None:
    assert not re.search(r"[\r\n]", templates.render("x", "plain", payload(title="a\r\nBcc: b")).title)


@pytest.mark.parametrize(
    ("sent", "now", "wait"),
    [([], 0, 0), ([0], 30, 30), ([0], 60, 0), ([0, 70, 80], 90, 50), ([0, 70], 131, 0), ([0, 40, 70], 131, 9)],
)
def test_a_message_waits_until_every_limit_allows_it(sent: list[int], now: int, wait: int) -> None:
    assert wait_ms([Rule(1, 60), Rule(3, 140)], sent, now) == wait
