"""The queue of one notifier: its order, and what its receiver refuses."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from tests.fixtures.recorder import (
    LATER,
    Batches,
    Recorder,
    counted,
    deliverer,
    fails,
    job,
    post,
    refuse,
    until,
)

from foreshock.alerts.repository import AlertRepository
from foreshock.notify import queue
from foreshock.notify.outbox import Outbox
from foreshock.store import Store
from foreshock.store import tables as t
from foreshock_models.errors import NotificationRefused


def test_order_is_kept_for_each_notifier(store: Store) -> None:
    one, two = Recorder(), Recorder()
    to = deliverer(store, [job("j", "http://one", "http://two")], one=one, two=two)
    keys = [f"a{n}/{event}" for n in range(120) for event in ("opened", "resolved")]
    post(store, "j", *keys)
    until(lambda: to.run(LATER) == 0 and Outbox(store).undelivered() == 0)
    assert one.got == two.got == [f"j-{key.replace('/', ' ')}" for key in keys]


def test_what_is_refused_holds_back_only_what_follows_of_the_same_alert(store: Store) -> None:
    to_ = Recorder(refuse("j-a"))
    to = deliverer(store, [job("j", "http://x")], x=to_)
    post(store, "j", "a/opened", "b/opened", "a/resolved", "b/resolved")
    assert to.run(LATER) == 2
    assert to.run(LATER + 1) == 0
    assert to_.tried == ["j-a opened", "j-b opened", "j-b resolved"]
    to_.before = lambda _: None
    to.run(2 * LATER)
    assert to_.got[2:] == ["j-a opened", "j-a resolved"]


def test_a_receiver_that_refuses_everything_is_left_alone_for_a_while(store: Store) -> None:
    to_ = Recorder(fails(NotificationRefused("HTTP 400")))
    to = deliverer(store, [job("j", "http://x")], x=to_)
    post(store, "j", *(f"a{n}/opened" for n in range(50)))
    to.run(LATER)
    assert len(to_.tried) == queue.REFUSED_IN_A_ROW
    to.run(LATER + 1)
    assert len(to_.tried) == queue.REFUSED_IN_A_ROW


def test_what_is_refused_for_hours_is_given_up_and_said(store: Store) -> None:
    to_ = Recorder(refuse("j-a"))
    to = deliverer(store, [job("j", "http://x")], x=to_)
    post(store, "j", "a/opened", "a/resolved")
    to.run(LATER)
    with store.begin() as c:
        c.execute(sa.update(t.outbox).values(attempts=queue.GIVE_UP_AFTER - 1))
    to_.before = lambda payload: refuse("j-a")(payload) if payload["event"] == "opened" else None
    to.run(2 * LATER)
    to.run(3 * LATER)
    assert to_.got == ["j-a resolved"]
    assert counted(to, "j", "dropped") == 1
    assert "given up: HTTP 413" in AlertRepository(store).history("j-a")[1]["why"]


def test_a_fault_over_one_notification_does_not_hold_up_others_for_ever(store: Store) -> None:
    def before(payload: dict[str, Any]) -> None:
        if payload["id"] == "j-a":
            raise KeyError("feature")

    to_ = Recorder(before)
    to = deliverer(store, [job("j", "http://x")], x=to_)
    post(store, "j", "a/opened", "b/opened")
    for n in range(1, queue.FAULTS + 1):
        assert to_.got == []
        to.run(n * LATER)
    assert to_.got == ["j-b opened"]


def test_of_a_batch_what_is_refused_alone_is_kept_back(store: Store) -> None:
    to_ = Batches(refuse("j-a3", "j-a7"))
    to = deliverer(store, [job("j", "http://x")], x=to_)
    post(store, "j", *(f"a{n}/{event}" for n in range(10) for event in ("opened", "resolved")))
    assert to.run(LATER) == 16
    assert to_.got == [f"j-a{n} {event}" for n in range(10) if n not in (3, 7) for event in ("opened", "resolved")]
