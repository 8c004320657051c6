"""Channels that take what is missing from the environment."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from foreshock.notify.channels.config import EmailChannel, SlackChannel

HOOK = "https://hooks.slack.com/services/T/B/x"


def test_a_slack_channel_without_a_way_uses_the_webhook_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLACK_WEBHOOK_URL", raising=False)
    with pytest.raises(ValidationError, match="incoming webhook"):
        SlackChannel.model_validate({"type": "slack"})
    monkeypatch.setenv("SLACK_WEBHOOK_URL", HOOK)
    assert SlackChannel.model_validate({"type": "slack"}).url == HOOK
    assert SlackChannel.model_validate({"type": "slack", "url": f"{HOOK}y"}).url == f"{HOOK}y"
    bot = SlackChannel.model_validate({"type": "slack", "token": "xoxb-1", "channel": "C1"})
    assert bot.url is None


def test_an_email_channel_without_a_server_uses_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    mail = {"type": "email", "to": ["a@example.org"]}
    for name in ("EMAIL_SMTP_SERVER", "EMAIL_SMTP_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValidationError, match="host"):
        EmailChannel.model_validate(mail)
    monkeypatch.setenv("EMAIL_SMTP_SERVER", "mail.example.org")
    assert EmailChannel.model_validate(mail).port == 587
    monkeypatch.setenv("EMAIL_SMTP_PORT", "465")
    found = EmailChannel.model_validate(mail)
    assert (found.host, found.port) == ("mail.example.org", 465)
    assert EmailChannel.model_validate({**mail, "host": "other", "port": 25}).port == 25
    monkeypatch.setenv("EMAIL_SMTP_PORT", "many")
    with pytest.raises(ValidationError, match="port"):
        EmailChannel.model_validate(mail)
