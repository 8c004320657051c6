"""Messages from notebooks and scripts, with and without ``await``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import foreshock
from foreshock.notify.channels.registry import make_channel
from foreshock.notify.templates import Templates
from foreshock.oncall.config_file import load_notifications
from foreshock.store.tables import outbox
from foreshock_models.errors import ConfigError

CONFIG = """
templates: templates
channels: {lines: {type: log}, more: {type: log}}
people: {anna: {channels: [lines]}}
schedules: {primary: {rotations: [{people: [anna], start: "2020-01-06T09:00"}]}}
policies: {default: {steps: [{to: ["channel:lines"]}]}}
route: {policy: default}
"""
TEMPLATE = "{% block title %}{{ variables.host }} restarts{% endblock %}{% block body %}at ten{% endblock %}"


@pytest.fixture
def sent(house: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "maintenance.j2").write_text(TEMPLATE)
    (tmp_path / "n.yaml").write_text(CONFIG)
    monkeypatch.setenv("FORESHOCK_HOME", str(tmp_path))
    monkeypatch.setenv("FORESHOCK_NOTIFICATIONS", str(tmp_path / "n.yaml"))
    monkeypatch.setenv("FORESHOCK_STORE_URL", house.store.engine.url.render_as_string(hide_password=False))

    def rows() -> list[tuple[str, dict[str, Any]]]:
        with house.store.begin() as c:
            return [(row[0], row[1]) for row in c.execute(sa.select(outbox.c.notifier, outbox.c.payload))]

    return rows


def test_a_message_goes_to_people_and_channels_and_its_template_has_the_variables(
    sent: Any, tmp_path: Path
) -> None:
    done = foreshock.notifications.send(
        "maintenance", recipients=["anna"], channels=["more", "lines"], priority="high", variables={"host": "db-1"}
    )
    rows = sent()
    assert sorted(name for name, _ in rows) == ["channel/lines", "channel/more"]
    assert rows[0][1]["id"] == done.id and rows[0][1]["incident"]["severity"] == "critical"
    config = load_notifications(tmp_path / "n.yaml")
    channel = make_channel("lines", config.channels["lines"], Templates(config.templates))
    assert channel.rendered(rows[0][1]).title == "db-1 restarts"


def test_it_may_be_awaited(sent: Any) -> None:
    async def go() -> str:
        return (await foreshock.notifications.send("hello", channels=["lines"])).id

    assert asyncio.run(go()) == sent()[0][1]["id"]


def test_a_channel_is_tested_and_previewed_and_schedules_are_asked(sent: Any) -> None:
    foreshock.notifications.test("lines")
    assert "db-1 departed first" in foreshock.notifications.preview("lines")
    assert foreshock.notifications.oncall() == {"primary": "anna"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "nobody to tell"), ({"recipients": ["ana"]}, "did you mean 'anna'"),
        ({"channels": ["line"]}, "did you mean 'lines'"), ({"channels": ["lines"], "priority": "hgh"}, "high"),
    ],
)  # fmt: skip
def test_a_wrong_call_says_what_is_allowed(sent: Any, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        foreshock.notifications.send("hello", **wrong)
    assert sent() == []
