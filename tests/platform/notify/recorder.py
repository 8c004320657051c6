"""Notifiers that keep what they get, and deliverers with them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from foreshock.alerts.delivery import alert_deliverer
from foreshock.notify.delivery import Deliverer
from foreshock.notify.outbox import EVERY, Outbox
from foreshock.store import Store
from foreshock_models.errors import NotificationRefused
from foreshock_pipelines.jobfile import Job, NotifierConfig, parse_job

LATER = 10_000_000
"""Milliseconds: longer than any pause."""


class Recorder:
    """A notifier that keeps what it gets, after `before` has had a look at it."""

    def __init__(self, before: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
        self.got: list[str] = []
        self.tried: list[str] = []
        self.before = before

    def send(self, payload: dict[str, Any]) -> None:
        self.tried.append(f"{payload['id']} {payload['event']}")
        self.before(payload)
        self.got.append(self.tried[-1])


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def fails(error: BaseException) -> Callable[[dict[str, Any]], None]:
    def before(payload: dict[str, Any]) -> None:
        raise error

    return before


def job(name: str, *urls: str, **more: Any) -> Job:
    made: Job = parse_job(
        f"name: {name}\nsource: {{prometheus: 'http://x:9090'}}\nqueries: {{x: up}}\nentity: [instance]\n"
    ).model_copy(
        update={"notify": [NotifierConfig(type="webhook", url=url, timeout="100ms", **more) for url in urls]}
    )
    return made


def post(store: Store, job: str, *keys: str) -> None:
    """Entries such as ``a/opened``."""
    with store.begin() as c:
        for key in keys:
            subject, event = key.split("/")
            payload = {"id": subject, "event": event, "job": job}
            Outbox(store).post(
                c, f"{job}-{subject}/{event}", f"{job}/{EVERY}", {**payload, "id": f"{job}-{subject}"}, 1
            )


def deliverer(store: Store, jobs: list[Job], **notifiers: Any) -> Deliverer:
    """By the host of their URLs; a callable without `send` makes the notifier, or fails to."""

    def make(config: NotifierConfig) -> Any:
        found = notifiers[str(config.url).removeprefix("http://").strip("/")]
        return found if hasattr(found, "send") else found()

    return alert_deliverer(store, jobs, make=make, deadline=0.3)


def counted(to: Deliverer, job: str, result: str) -> float | None:
    labels = {"job": job, "notifier": "webhook", "result": result}
    return to.counted.get_sample_value("foreshock_notifications_total", labels)


def failing(to: Deliverer, job: str) -> float | None:
    return to.counted.get_sample_value("foreshock_notifiers_failing", {"job": job, "notifier": "webhook"})


def refuse(*ids: str) -> Callable[[dict[str, Any]], None]:
    def before(payload: dict[str, Any]) -> None:
        if payload["id"] in ids:
            raise NotificationRefused("HTTP 413: too large")

    return before


class Batches(Recorder):
    """Takes up to eight at a time, and none of them if one is refused."""

    batch = 8
    repeat_every = 60.0

    def send_batch(self, payloads: Sequence[dict[str, Any]]) -> None:
        for payload in payloads:
            self.before(payload)
        self.got += [f"{payload['id']} {payload['event']}" for payload in payloads]


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
