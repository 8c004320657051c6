"""A webhook is delivered when its receiver says so, and fails in one line."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from tests.servers.faulty import Faulty, Reply

from foreshock.notify import make_notifier
from foreshock.notify.posting import JsonPoster
from foreshock_models.errors import ConfigError, NotificationRefused, NotifyError
from foreshock_pipelines.jobfile import NotifierConfig

Start = Callable[..., Faulty]
PAYLOAD = {
    "id": "a-1", "event": "opened", "updated": "2026-03-01T12:00:00Z", "job": "node", "labels": {"instance": "a"},
    "kind": "anomaly", "feature": None, "severity": "warning", "causes": [], "summary": "", "score": 1.0,
    "opened": "2026-03-01T12:00:00Z", "resolved": None, "url": "http://x",
}  # fmt: skip
KINDS = pytest.mark.parametrize("kind", ["webhook", "alertmanager"])


def send(kind: str, url: str, payload: dict[str, Any] = PAYLOAD, **config: Any) -> None:
    make_notifier(NotifierConfig(type=kind, url=url, **config)).send(payload)


@KINDS
@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_2xx_is_delivered(faulty: Start, kind: str, status: int) -> None:
    server = faulty(Reply(status, b""))
    send(kind, server.url)
    assert server.methods == ["POST"]


@KINDS
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 401, 403, 404, 429, 500, 503])
def test_nothing_else_is_delivered(faulty: Start, kind: str, status: int) -> None:
    with pytest.raises(NotifyError, match=f"HTTP {status}") as caught:
        send(kind, faulty(Reply(status, b"", {"Location": "http://elsewhere.example/"})).url)
    assert not isinstance(caught.value, NotificationRefused)


@KINDS
@pytest.mark.parametrize("status", [400, 413, 415, 422, 431])
def test_a_refusal_is_about_this_notification(faulty: Start, kind: str, status: int) -> None:
    with pytest.raises(NotificationRefused, match=f"HTTP {status}: too long"):
        send(kind, faulty(Reply(status, b"too long")).url)


def slow(handler: BaseHTTPRequestHandler) -> None:
    """Answer after a second."""
    time.sleep(1)
    with contextlib.suppress(OSError):
        handler.send_response(200)
        handler.end_headers()


def test_a_receiver_has_the_time_that_the_job_file_gives_it(faulty: Start) -> None:
    server = faulty(Reply(act=slow))
    with pytest.raises(NotifyError, match=r"timed out|too long"):
        send("webhook", server.url, timeout="300ms")
    send("webhook", server.url, timeout="5s")


@KINDS
@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_on_the_same_host_that_keeps_the_method_is_followed(
    faulty: Start, kind: str, status: int
) -> None:
    server = faulty(Reply(status, b"", {"Location": "/new"}), Reply())
    send(kind, server.url)
    assert server.methods == ["POST", "POST"]
    assert server.paths[1] == "/new"
    assert server.bodies[0] == server.bodies[1] != ""


def test_the_same_key_goes_with_every_attempt(faulty: Start) -> None:
    server = faulty(Reply(500), Reply())
    with pytest.raises(NotifyError):
        send("webhook", server.url)
    send("webhook", server.url)
    assert {headers["Idempotency-Key"] for headers in server.headers} == {"a-1-opened-2026-03-01T12:00:00Z"}


def test_numbers_that_json_does_not_have_are_null(faulty: Start) -> None:
    server = faulty()
    send("webhook", server.url, {**PAYLOAD, "score": float("inf"), "causes": [{"observed": float("nan")}]})
    body = json.loads(server.bodies[0])
    assert (body["score"], body["causes"]) == (None, [{"observed": None}])
    assert server.headers[0]["Content-Type"] == "application/json"


def test_text_that_utf_8_does_not_have_is_sent_all_the_same(faulty: Start) -> None:
    server = faulty()
    send("webhook", server.url, {**PAYLOAD, "summary": "disk \ud800 full"})
    assert json.loads(server.bodies[0])["summary"].startswith("disk ")


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"a" * 65536)
    except OSError:
        pass


def dripping(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(200):
            handler.wfile.write(b"a")
            time.sleep(0.05)
    except OSError:
        pass


@pytest.mark.parametrize("act", [endless, dripping])
def test_a_receiver_that_takes_it_and_talks_on_has_taken_it(faulty: Start, act: Any) -> None:
    began = time.monotonic()
    send("webhook", faulty(Reply(act=act)).url, timeout="500ms")
    assert time.monotonic() - began < 5


def test_a_notifier_of_another_package_without_a_url_is_a_mistake_of_the_job_file() -> None:
    with pytest.raises(ConfigError, match="notify: pager needs a url"):
        JsonPoster(NotifierConfig(type="pager"))


def test_an_error_names_the_host_and_no_secret(faulty: Start, tmp_path: Path) -> None:
    server = faulty(Reply(500, b"oh no"))
    url = server.url.replace("http://", "http://anna:hunter2@") + "/services/T0/B0/secret?key=opensesame"
    with pytest.raises(NotifyError) as caught:
        send("webhook", url)
    assert str(caught.value) == f"webhook {server.url}: HTTP 500: oh no"
