"""A clock that is set back: what waits for a pause to end does not wait for as long as the clock jumped."""

from __future__ import annotations

from typing import Any

from foreshock.notify.outbox import Outbox
from foreshock.store import Store

HOUR = 3_600_000


def test_a_notification_that_failed_before_the_clock_was_set_back_is_due(store: Store) -> None:
    outbox = Outbox(store)
    with store.begin() as c:
        for key in ("failed", "delayed"):
            outbox.post(c, key, "n", {"id": key}, 10 * HOUR)
        outbox.not_sent(c, 1, "down", 10 * HOUR + 30_000)
    assert [item.key for item in outbox.due("n", 9 * HOUR)] == ["failed"]
    assert [item.key for item in outbox.claim("n", 9 * HOUR, 1000, 10)] == ["failed"]
    assert outbox.postponed("n", 9 * HOUR) == ["delayed"]
    assert [item.key for item in outbox.due("n", 10 * HOUR)] == ["delayed"]


def test_live_alerts_are_repeated_after_the_clock_was_set_back(store: Store) -> None:
    from foreshock.notify.queue import NotifierQueue
    from foreshock.notify.sender import Sender
    from foreshock_pipelines.jobfile import NotifierConfig

    sent: list[int] = []

    class Repeats:
        batch, repeat_every = 10, 60.0

        def send(self, payload: dict[str, Any]) -> None: ...

        def send_batch(self, payloads: Any) -> None:
            sent.append(len(payloads))

    class Counts:
        def count(self, result: str, number: int = 1) -> None: ...

    config = NotifierConfig(type="webhook", url="http://x")
    queue = NotifierQueue(
        "n", Sender(config, lambda _: Repeats()), store, Counts(), lambda _: [{}], lambda *_: None
    )
    for now_ms, times in ((10 * HOUR, 1), (10 * HOUR + 1000, 1), (5 * HOUR, 2)):
        if queue.has_work(now_ms, False):
            queue.turn(now_ms)
        assert len(sent) == times
