"""Channels that speak HTTP, against servers on loopback that answer as their receivers do."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import TypeAdapter
from tests.servers.faulty import Faulty, Reply

from foreshock.notify.channels.base import Channel
from foreshock.notify.channels.config import ChannelConfig
from foreshock.notify.channels.registry import make_channel
from foreshock.notify.sender import Sender
from foreshock_models.errors import NotificationRefused, NotifyError

OK = Reply(body=b'{"ok":true,"channel":"C1","ts":"17.1"}')
INCIDENT = {
    "id": "i1", "title": "latency of <db> & 2 more", "severity": "critical", "state": "open", "jobs": ["shop"],
    "entities": ["db", "api"], "since": "2026-03-01T10:00:00Z", "resolved": None, "alerts": 3, "class": "capacity",
    "root_causes": [{"node": "db", "reason": "db departed first: latency 2, usual 0.5", "metrics": []}],
    "labels": {"rack": "7"}, "assignee": None,
}  # fmt: skip
LINKS = {"incident": "http://f/incidents/i1", "ack": "http://f/ack/t", "silence": "http://f/silence/i1"}


def payload(event: str = "paged", **more: Any) -> dict[str, Any]:
    return {
        "id": "i1",
        "event": event,
        "posted": "x",
        "key": f"i1/{event}",
        "incident": INCIDENT,
        "links": LINKS,
        **more,
    }


def channel(name: str = "c", memory: Any = None, **config: Any) -> Channel:
    return make_channel(name, TypeAdapter(ChannelConfig).validate_python(config), memory=memory)


class Remembers:
    def __init__(self) -> None:
        self.known: dict[tuple[str, str], dict[str, Any]] = {}

    def recall(self, channel: str, incident: str) -> dict[str, Any] | None:
        return self.known.get((channel, incident))

    def remember(self, channel: str, incident: str, reference: dict[str, Any]) -> None:
        self.known[channel, incident] = reference


def test_a_webhook_is_signed_over_its_time_and_body(faulty: Callable[..., Faulty]) -> None:
    server = faulty()
    channel(type="webhook", url=server.url, secret="s3cret").send(payload())
    fields = dict(part.split("=") for part in server.headers[0]["X-Foreshock-Signature"].split(","))
    signed = f"{fields['t']}.{server.bodies[0]}".encode()
    assert hmac.compare_digest(fields["v1"], hmac.new(b"s3cret", signed, hashlib.sha256).hexdigest())
    assert server.headers[0]["Idempotency-Key"] == "i1/paged"
    assert json.loads(server.bodies[0])["title"] == "[critical] New incident: latency of <db> & 2 more"


def test_slack_gets_blocks_with_escaped_text_and_buttons(faulty: Callable[..., Faulty]) -> None:
    server = faulty(Reply(body=b"ok"))
    channel(type="slack", url=server.url).send(payload())
    (attachment,) = json.loads(server.bodies[0])["attachments"]
    section, actions = attachment["blocks"]
    assert "latency of &lt;db&gt; &amp; 2 more" in section["text"]["text"]
    assert "db departed first: latency 2, usual 0.5" in section["text"]["text"]
    assert [b["url"] for b in actions["elements"]] == list(LINKS.values())


def test_a_slack_bot_changes_its_message_and_answers_in_its_thread(faulty: Callable[..., Faulty]) -> None:
    server, memory = faulty(OK), Remembers()
    bot = channel(memory=memory, type="slack", token="xoxb-1", channel="C1", api=server.url)
    bot.send(payload())
    bot.send(payload("acknowledged"))
    bot.send(payload("escalated"))
    assert server.paths == ["/chat.postMessage", "/chat.update", "/chat.postMessage", "/chat.postMessage"]
    bodies = [json.loads(body) for body in server.bodies]
    assert (bodies[1]["channel"], bodies[1]["ts"]) == ("C1", "17.1")
    assert [b.get("thread_ts") for b in bodies] == [None, None, "17.1", "17.1"]
    assert bodies[3]["reply_broadcast"] is True
    assert server.headers[0]["Authorization"] == "Bearer xoxb-1"


@pytest.mark.parametrize(
    ("error", "kind"),
    [("invalid_auth", NotifyError), ("channel_not_found", NotifyError), ("msg_too_long", NotificationRefused)],
)
def test_what_slack_refuses_with_status_200_is_an_error(
    faulty: Callable[..., Faulty], error: str, kind: type[NotifyError]
) -> None:
    server = faulty(Reply(body=json.dumps({"ok": False, "error": error}).encode()))
    with pytest.raises(NotifyError, match=error) as raised:
        channel(type="slack", token="xoxb-1", channel="C1", api=server.url).send(payload())
    assert type(raised.value) is kind


def test_teams_gets_an_adaptive_card(faulty: Callable[..., Faulty]) -> None:
    server = faulty(Reply(status=202, body=b""))
    channel(type="teams", url=server.url).send(payload())
    (attachment,) = json.loads(server.bodies[0])["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert card["body"][0]["style"] == "attention"
    assert r"latency of \<db\> & 2 more" in card["body"][0]["items"][0]["text"]
    assert [a["url"] for a in card["actions"]] == list(LINKS.values())


def test_pagerduty_is_triggered_acknowledged_and_resolved_under_one_key(faulty: Callable[..., Faulty]) -> None:
    server = faulty(Reply(status=202, body=b'{"status":"success"}'))
    pager = channel(type="pagerduty", routing_key="R" * 32, api=server.url)
    for event in ("paged", "acknowledged", "resolved"):
        pager.send(payload(event))
    bodies = [json.loads(body) for body in server.bodies]
    assert [b["event_action"] for b in bodies] == ["trigger", "acknowledge", "resolve"]
    assert {b["dedup_key"] for b in bodies} == {"foreshock-i1"}
    assert {b["routing_key"] for b in bodies} == {"R" * 32}
    first = bodies[0]["payload"]
    assert (first["severity"], first["source"], first["class"]) == ("critical", "db, api", "capacity")
    assert server.paths == ["/v2/enqueue"] * 3


def test_alertmanager_gets_an_incident_as_one_alert(faulty: Callable[..., Faulty]) -> None:
    server = faulty()
    channel(type="alertmanager", url=server.url).send(payload())
    (alert,) = json.loads(server.bodies[0])
    assert (alert["labels"]["alertname"], alert["labels"]["rack"]) == ("ForeshockIncident", "7")
    assert alert["annotations"]["summary"] == "latency of <db> & 2 more"


def test_apprise_delivers_by_the_url_of_a_service(faulty: Callable[..., Faulty]) -> None:
    server = faulty(Reply(body=b"ok"))
    url = server.url.replace("http://", "json://")
    channel(type="apprise", service=url).send(payload())
    body = json.loads(server.bodies[0])
    assert body["title"] == "[critical] New incident: latency of <db> & 2 more"
    assert body["type"] == "failure"


def test_an_sms_is_one_short_text_with_the_link_that_acknowledges(faulty: Callable[..., Faulty]) -> None:
    server = faulty(Reply(body=b"ok"))
    channel(type="apprise", sms=True, service=server.url.replace("http://", "json://")).send(payload())
    message = json.loads(server.bodies[0])["message"]
    assert message == "New incident: latency of <db> & 2 more http://f/ack/t" and len(message) < 160


def test_a_service_that_apprise_does_not_reach_is_an_error(faulty: Callable[..., Faulty]) -> None:
    server = faulty(Reply(status=500, body=b"no"))
    with pytest.raises(NotifyError, match="did not take the message"):
        channel(type="apprise", service=server.url.replace("http://", "json://")).send(payload())


def test_messages_that_waited_are_one_with_a_line_each(faulty: Callable[..., Faulty]) -> None:
    server = faulty(Reply(body=b"ok"))
    channel(type="slack", url=server.url).send({**payload(), "messages": [payload(), payload("resolved")]})
    text = json.loads(server.bodies[0])["text"]
    assert text.startswith("2 messages: [critical] Resolved")


@pytest.mark.parametrize("kind", ["slack", "teams", "webhook", "pagerduty"])
def test_a_receiver_that_answers_429_is_left_alone_for_as_long_as_it_asks(
    faulty: Callable[..., Faulty], kind: str
) -> None:
    server = faulty(Reply(status=429, body=b"slow down", headers={"Retry-After": "120"}))
    more = {"api": server.url, "routing_key": "R"} if kind == "pagerduty" else {"url": server.url}
    config = TypeAdapter(ChannelConfig).validate_python({"type": kind, **more})
    sender = Sender(config, lambda config: make_channel("c", config))
    failure = sender.send([payload()])
    assert failure is not None and (failure.refused, failure.retry_after) == (False, 120.0)
    sender.failed(1_000_000, failure.retry_after)
    assert sender.resume_ms == 1_120_000


def test_no_secret_of_a_channel_is_in_an_error(faulty: Callable[..., Faulty]) -> None:
    server = faulty(Reply(status=401, body=b"key tok-12345 is wrong"))
    config = TypeAdapter(ChannelConfig).validate_python(
        {"type": "pagerduty", "routing_key": "tok-12345", "api": server.url}
    )
    failure = Sender(config, lambda config: make_channel("c", config)).send([payload()])
    assert failure is not None
    assert "tok-12345" not in failure.reason and "***" in failure.reason
