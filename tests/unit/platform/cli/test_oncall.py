"""``foreshock notify`` and ``foreshock oncall`` as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from typer.testing import CliRunner, Result

from foreshock.cli.app import _load_commands, app
from foreshock.oncall.config import NotificationsConfig
from foreshock.oncall.config_file import LiveConfig, load_notifications
from foreshock_models.errors import ConfigError

CONFIG = """
channels:
  lines: {type: log}
  dead: {type: webhook, url: "http://127.0.0.1:1/"}
people: {anna: {channels: [lines]}, ben: {channels: [lines]}}
schedules:
  primary: {timezone: Europe/Berlin, rotations: [{people: [anna, ben], start: "2020-01-06T09:00"}]}
policies: {default: {steps: [{to: ["schedule:primary"]}]}}
route: {policy: default}
"""


@pytest.fixture
def installation(house: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "n.yaml").write_text(CONFIG)
    monkeypatch.setenv("FORESHOCK_HOME", str(tmp_path))
    monkeypatch.setenv("FORESHOCK_NOTIFICATIONS", str(tmp_path / "n.yaml"))
    monkeypatch.setenv("FORESHOCK_STORE_URL", house.store.engine.url.render_as_string(hide_password=False))
    return tmp_path


def foreshock(*words: str) -> Result:
    _load_commands()
    try:
        return CliRunner().invoke(app, list(words))
    finally:
        structlog.reset_defaults()


def done(*words: str) -> str:
    result = foreshock(*words)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_channels_are_checked_tested_and_previewed(installation: Path) -> None:
    assert "schedule primary: " in done("notify", "check")
    assert "lines: delivered" in done("notify", "test", "lines")
    assert isinstance(foreshock("notify", "test", "dead").exception, Exception)
    assert "db-1 departed first" in done("notify", "preview", "lines")
    assert "on its way" in done("notify", "send", "hello", "--to", "anna")


def test_a_schedule_goes_out_as_a_calendar_and_comes_back_as_overrides(installation: Path) -> None:
    assert json.loads(done("oncall", "list", "--json"))[0]["on_call"] in ("anna", "ben")
    done("oncall", "export", "primary", "-o", str(installation / "p.ics"), "--days", "21")
    found = yaml.safe_load(done("oncall", "import", "primary", str(installation / "p.ics"), "--days", "21"))
    shown = json.loads(done("oncall", "show", "primary", "--days", "21", "--json"))
    assert [o["person"] for o in found["overrides"]] == [s["person"] for s in shown]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("channel: lines", "channel: lines"), ""),
        (("type: log", "type: lgo"), "lgo"),
        (('"schedule:primary"', '"schedule:primry"'), "no schedule 'primry'; did you mean 'primary'"),
        (("channels: [lines]}, ben", "channels: [lnes]}, ben"), "no channel 'lnes'; did you mean 'lines'"),
        (("people: [anna, ben]", "people: [anna, bne]"), "no person 'bne'"),
        (("route: {policy: default}", "route: {}"), "the root of the tree needs a policy"),
        (("route: {policy: default}", "route: {policy: default, mtch: []}"), "mtch"),
        (("route: {policy: default}", "route: {policy: default, match: ['x=~(']}"), "route"),
        (("{type: log}", "{type: email, host: h, to: [nobody]}"), "no e-mail address"),
        (("{type: log}", "{type: email, host: h, to: [a@b], username: u}"), "give password or password_file"),
        (("{type: log}", "{type: slack, token: x}"), "a bot needs a channel"),
        (("{type: log}", "{type: pagerduty}"), "give routing_key or routing_key_file"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_what_is_allowed(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    file = tmp_path / "n.yaml"
    file.write_text(CONFIG.replace(*change))
    if not message:
        assert isinstance(load_notifications(file), NotificationsConfig)
        return
    with pytest.raises(ConfigError) as raised:
        load_notifications(file)
    assert str(file) in str(raised.value) and message in str(raised.value)


def test_a_changed_file_is_taken_up_and_an_invalid_one_leaves_the_one_before_in_force(tmp_path: Path) -> None:
    file = tmp_path / "n.yaml"
    file.write_text(CONFIG)
    live = LiveConfig(file)
    assert set(live.config.people) == {"anna", "ben"} and not live.refresh()
    file.write_text(CONFIG.replace("type: log", "type: lgo"))
    assert not live.refresh() and "lgo" in str(live.problem)
    assert set(live.config.people) == {"anna", "ben"}
    file.write_text(CONFIG + "least_alerts: 3\n")
    assert live.refresh() and live.config.least_alerts == 3 and live.problem is None


def test_a_file_whose_secrets_are_elsewhere_is_read_again_every_minute(tmp_path: Path) -> None:
    now = 0.0
    secret, file = tmp_path / "name", tmp_path / "n.yaml"
    secret.write_text("http://127.0.0.1:1/one")
    file.write_text(CONFIG.replace("http://127.0.0.1:1/", f"${{file:{secret}}}"))
    live = LiveConfig(file, lambda: now)
    assert not live.refresh()
    secret.write_text("http://127.0.0.1:1/two")
    assert not live.refresh()
    now = 61
    assert live.refresh() and live.config.channels["dead"].url == "http://127.0.0.1:1/two"
