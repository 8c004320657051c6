"""A notifier that is slow or hangs delays no other."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from tests.fixtures.recorder import LATER, Recorder, deliverer, failing, job, post, until

from foreshock.alerts.delivery import alert_deliverer
from foreshock.notify.outbox import Outbox
from foreshock.store import Store


def test_a_slow_receiver_delays_no_other(store: Store) -> None:
    free = threading.Event()
    slow, good = Recorder(lambda _: free.wait(10) and None), Recorder()
    to = deliverer(store, [job("j", "http://slow", "http://good")], slow=slow, good=good)
    post(store, "j", "a/opened")
    began = time.monotonic()
    to.run(LATER, wait=0)
    until(lambda: good.got == ["j-a opened"])
    post(store, "j", "b/opened")
    to.run(LATER, wait=0)
    until(lambda: good.got == ["j-a opened", "j-b opened"])
    assert time.monotonic() - began < 5
    assert slow.tried == ["j-a opened"], "one at a time"
    free.set()
    until(lambda: to.run(LATER) == 0 and slow.got == ["j-a opened", "j-b opened"])


def test_a_notifier_that_hangs_is_said_and_goes_on_when_it_returns(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    free = threading.Event()
    hung, good = Recorder(lambda _: free.wait(30) and None), Recorder()
    to = deliverer(store, [job("j", "http://hung", "http://good")], hung=hung, good=good)
    post(store, "j", "a/opened")
    assert to.run(LATER, wait=10) == 1
    assert failing(to, "j") == 1
    assert "notifier hangs" in "".join(capsys.readouterr())
    post(store, "j", "b/opened")
    assert to.run(LATER, wait=10) == 1
    assert good.got == ["j-a opened", "j-b opened"]
    free.set()
    until(lambda: to.run(LATER) == 0 and hung.got == good.got)
    assert failing(to, "j") == 0


def test_more_notifiers_hang_than_there_are_threads_and_others_are_served(store: Store) -> None:
    free = threading.Event()
    hung, good = Recorder(lambda _: free.wait(30) and None), Recorder()
    jobs = [job(f"h{n}", "http://hung") for n in range(40)]
    to = deliverer(store, [*jobs, job("j", "http://good")], hung=hung, good=good)
    for one in jobs:
        post(store, one.name, "a/opened")
    try:
        to.run(LATER, wait=20)
        assert len(hung.tried) == 40
        post(store, "j", "a/opened")
        assert to.run(LATER, wait=20) == 1
    finally:
        free.set()
    until(lambda: to.run(LATER) == 0 and Outbox(store).undelivered() == 0)


def test_a_notifier_that_hangs_is_followed_by_its_new_configuration(store: Store) -> None:
    free = threading.Event()
    notifiers: list[Any] = [Recorder(lambda _: free.wait(30) and None), Recorder()]
    to = alert_deliverer(
        store, [job("j", "http://x")], make=lambda config: notifiers[len(config.headers)], deadline=0.3
    )
    post(store, "j", "a/opened")
    to.run(LATER)
    to.watch(job("j", "http://x", headers={"X-Key": "1"}))
    to.run(LATER)
    assert notifiers[1].got == ["j-a opened"]
    free.set()
