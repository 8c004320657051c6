"""Each notifier is served alone: what goes wrong with one neither stops nor delays another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from foreshock.alerts.announce import EVERY
from foreshock.alerts.pipeline import Engine
from foreshock.notify import queue as notifier_queue
from foreshock.notify.delivery import Deliverer
from foreshock.notify.sender import LONGEST_PAUSE
from foreshock.store import Store, open_store
from foreshock.store import tables as t
from foreshock_models.errors import NotificationRefused, NotifyError
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
    ).model_copy(update={"notify": [NotifierConfig(type="webhook", url=url, **more) for url in urls]})
    return made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    yield store
    store.close()


def post(store: Store, job: str, *keys: str) -> None:
    """Entries such as ``a/opened``."""
    with store.begin() as c:
        for key in keys:
            subject, event = key.split("/")
            payload = {"id": subject, "event": event, "job": job}
            store.post(c, f"{job}-{subject}/{event}", f"{job}/{EVERY}", {**payload, "id": f"{job}-{subject}"}, 1)


def deliverer(store: Store, jobs: list[Job], **notifiers: Any) -> Deliverer:
    """By the host of their URLs; a callable without `send` makes the notifier, or fails to."""

    def make(config: NotifierConfig) -> Any:
        found = notifiers[str(config.url).removeprefix("http://").strip("/")]
        return found if hasattr(found, "send") else found()

    return Deliverer(store, jobs, make=make, deadline=0.3)


def counted(to: Deliverer, job: str, result: str) -> float | None:
    labels = {"job": job, "notifier": "webhook", "result": result}
    return to.counted.get_sample_value("foreshock_notifications_total", labels)


def failing(to: Deliverer, job: str) -> float | None:
    return to.counted.get_sample_value("foreshock_notifiers_failing", {"job": job, "notifier": "webhook"})


# -- failing alone ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "error",
    [
        OSError("no such certificate"), "漢".encode, Wordless(), SystemExit(1), KeyboardInterrupt(), MemoryError(),
        NotifyError("down"),
    ],
    ids=["OSError", "UnicodeError", "Wordless", "SystemExit", "KeyboardInterrupt", "MemoryError", "NotifyError"],
)  # fmt: skip
def test_whatever_a_notifier_raises_the_others_get_their_alerts(store: Store, error: Any) -> None:
    before = (lambda _: error("latin-1")) if callable(error) else fails(error)
    good, bad = Recorder(), Recorder(before)
    to = deliverer(store, [job("j", "http://bad", "http://good"), job("k", "http://good")], bad=bad, good=good)
    post(store, "j", "a/opened")
    post(store, "k", "a/opened")
    assert to.run(LATER) == 2
    assert sorted(good.got) == ["j-a opened", "k-a opened"]
    assert (counted(to, "j", "failed"), failing(to, "j"), failing(to, "k")) == (1, 1, 0)
    bad.before = lambda _: None
    assert to.run(2 * LATER) == 1, "it is tried again"
    assert (store.undelivered(), failing(to, "j")) == (0, 0)


def test_a_notifier_that_cannot_be_made_is_made_later(store: Store) -> None:
    made: list[Recorder] = []
    broken = [True]

    def make() -> Recorder:
        if broken:
            raise ImportError("no module named pager")
        made.append(Recorder())
        return made[-1]

    good = Recorder()
    to = deliverer(store, [job("j", "http://plugin", "http://good")], plugin=make, good=good)
    post(store, "j", "a/opened")
    assert to.run(LATER) == 1
    assert failing(to, "j") == 1
    broken.clear()
    assert to.run(2 * LATER) == 1
    assert made[0].got == ["j-a opened"]


def test_a_notifier_that_cannot_be_made_is_said_before_there_is_an_alert(store: Store) -> None:
    def make() -> Recorder:
        raise ImportError("no module named pager")

    to = deliverer(store, [job("j", "http://plugin")], plugin=make)
    to.run(LATER)
    assert (counted(to, "j", "failed"), failing(to, "j")) == (1, 1)


def test_a_failure_and_the_delivery_after_it_are_in_the_history_of_the_alert(store: Store) -> None:
    bad = Recorder(fails(NotifyError("down")))
    to = deliverer(store, [job("j", "http://bad")], bad=bad)
    post(store, "j", "a/opened")
    to.run(LATER)
    bad.before = lambda _: None
    to.run(2 * LATER)
    events = [(line["event"], line["why"]) for line in store.history("j-a")]
    assert [event for event, _ in events] == ["undelivered", "delivered"]
    assert "down" in events[0][1]
    assert "after 1 failed attempts" in events[1][1]


def test_a_receiver_that_stays_down_is_asked_ever_less_often(store: Store) -> None:
    bad = Recorder(fails(NotifyError("down")))
    to = deliverer(store, [job("j", "http://bad")], bad=bad)
    post(store, "j", "a/opened", "b/opened")
    for second in range(600):
        to.run(LATER + second * 1000)
    assert 600 / LONGEST_PAUSE <= len(bad.tried) <= 5 + 2 * 600 / LONGEST_PAUSE
    assert set(bad.tried) == {"j-a opened"}, "what came later waits"


def test_a_secret_of_a_notifier_is_neither_logged_nor_stored(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Recorder(fails(ValueError("cannot post to http://anna:hunter2@chat/services/T0/B0/x?key=opensesame")))
    config = NotifierConfig(type="webhook", url="http://anna:hunter2@chat/services/T0/B0/x?key=opensesame")
    to = Deliverer(store, [job("j").model_copy(update={"notify": [config]})], make=lambda _: bad)
    post(store, "j", "a/opened")
    to.run(LATER)
    out = capsys.readouterr()
    with store.begin() as c:
        stored = c.execute(sa.select(t.outbox.c.error).where(t.outbox.c.sent_ms.is_(None))).scalar_one()
    told = out.out + out.err + stored + str(store.history("j-a"))
    assert "cannot post to" in told
    for secret in ("hunter2", "opensesame", "services"):
        assert secret not in told


# -- delaying nobody -------------------------------------------------------------------------------------
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
    assert "notifier hangs" in capsys.readouterr().out
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
    until(lambda: to.run(LATER) == 0 and store.undelivered() == 0)


def test_a_notifier_that_hangs_is_followed_by_its_new_configuration(store: Store) -> None:
    free = threading.Event()
    notifiers: list[Any] = [Recorder(lambda _: free.wait(30) and None), Recorder()]
    to = Deliverer(store, [job("j", "http://x")], make=lambda config: notifiers[len(config.headers)], deadline=0.3)
    post(store, "j", "a/opened")
    to.run(LATER)
    to.watch(job("j", "http://x", headers={"X-Key": "1"}))
    to.run(LATER)
    assert notifiers[1].got == ["j-a opened"]
    free.set()


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


# -- order, and what is refused --------------------------------------------------------------------------
def test_order_is_kept_for_each_notifier(store: Store) -> None:
    one, two = Recorder(), Recorder()
    to = deliverer(store, [job("j", "http://one", "http://two")], one=one, two=two)
    keys = [f"a{n}/{event}" for n in range(120) for event in ("opened", "resolved")]
    post(store, "j", *keys)
    until(lambda: to.run(LATER) == 0 and store.undelivered() == 0)
    assert one.got == two.got == [f"j-{key.replace('/', ' ')}" for key in keys]


def refuse(*ids: str) -> Callable[[dict[str, Any]], None]:
    def before(payload: dict[str, Any]) -> None:
        if payload["id"] in ids:
            raise NotificationRefused("HTTP 413: too large")

    return before


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
    assert len(to_.tried) == notifier_queue.REFUSED_IN_A_ROW
    to.run(LATER + 1)
    assert len(to_.tried) == notifier_queue.REFUSED_IN_A_ROW


def test_what_is_refused_for_hours_is_given_up_and_said(store: Store) -> None:
    to_ = Recorder(refuse("j-a"))
    to = deliverer(store, [job("j", "http://x")], x=to_)
    post(store, "j", "a/opened", "a/resolved")
    to.run(LATER)
    with store.begin() as c:
        c.execute(sa.update(t.outbox).values(attempts=notifier_queue.GIVE_UP_AFTER - 1))
    to_.before = lambda payload: refuse("j-a")(payload) if payload["event"] == "opened" else None
    to.run(2 * LATER)
    to.run(3 * LATER)
    assert to_.got == ["j-a resolved"]
    assert counted(to, "j", "dropped") == 1
    assert "given up: HTTP 413" in store.history("j-a")[1]["why"]


def test_a_fault_over_one_notification_does_not_hold_up_others_for_ever(store: Store) -> None:
    def before(payload: dict[str, Any]) -> None:
        if payload["id"] == "j-a":
            raise KeyError("feature")

    to_ = Recorder(before)
    to = deliverer(store, [job("j", "http://x")], x=to_)
    post(store, "j", "a/opened", "b/opened")
    for n in range(1, notifier_queue.FAULTS + 1):
        assert to_.got == []
        to.run(n * LATER)
    assert to_.got == ["j-b opened"]


class Batches(Recorder):
    """Takes up to eight at a time, and none of them if one is refused."""

    batch = 8
    repeat_every = 60.0

    def send_batch(self, payloads: Sequence[dict[str, Any]]) -> None:
        for payload in payloads:
            self.before(payload)
        self.got += [f"{payload['id']} {payload['event']}" for payload in payloads]


def test_of_a_batch_what_is_refused_alone_is_kept_back(store: Store) -> None:
    to_ = Batches(refuse("j-a3", "j-a7"))
    to = deliverer(store, [job("j", "http://x")], x=to_)
    post(store, "j", *(f"a{n}/{event}" for n in range(10) for event in ("opened", "resolved")))
    assert to.run(LATER) == 16
    assert to_.got == [f"j-a{n} {event}" for n in range(10) if n not in (3, 7) for event in ("opened", "resolved")]


# -- who is told -----------------------------------------------------------------------------------------
def test_two_notifiers_that_differ_in_their_headers_alone_are_both_told(store: Store) -> None:
    told: list[str] = []

    def make(config: NotifierConfig) -> Recorder:
        return Recorder(lambda _: told.append(config.headers["X-Scope-OrgID"].get_secret_value()))

    configs = [NotifierConfig(type="webhook", url="http://x", headers={"X-Scope-OrgID": who}) for who in "ab"]
    to = Deliverer(store, [job("j").model_copy(update={"notify": configs})], make=make)
    post(store, "j", "a/opened")
    assert to.run(LATER) == 2
    assert sorted(told) == ["a", "b"]


def test_what_waits_for_a_notifier_that_its_job_no_longer_has_is_still_sent(store: Store) -> None:
    old, new = Recorder(fails(NotifyError("down"))), Recorder()
    to = deliverer(store, [job("j", "http://old")], old=old, new=new)
    post(store, "j", "a/opened")
    to.run(LATER)
    to.watch(job("j", "http://new"))
    post(store, "j", "b/opened")
    to.run(LATER + 1)
    old.before = lambda _: None
    to.run(2 * LATER)
    assert (old.got, new.got) == (["j-a opened"], ["j-b opened"])
    to.run(3 * LATER)
    assert len(to.queues) == 1


def test_two_processes_side_by_side_send_the_same_keys_and_leave_nothing(store: Store) -> None:
    sent: list[str] = []
    to_ = Recorder(lambda payload: sent.append(f"{payload['id']}-{payload['event']}"))
    jobs = [job("j", "http://x")]
    both = [Deliverer(store, jobs, make=lambda _: to_) for _ in range(2)]
    post(store, "j", *(f"a{n}/opened" for n in range(30)))
    threads = [threading.Thread(target=one.run, args=(LATER,)) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.undelivered() == 0
    assert set(sent) == {f"j-a{n}-opened" for n in range(30)}


def test_the_longest_names_fit_into_the_store(engine_anywhere: Engine) -> None:
    store, name = engine_anywhere.store, "j" * 63
    told = Recorder()
    config = NotifierConfig(type="a-plugin-with-a-name-that-is-longer-than-most-people-type", url="http://x")
    made = job(name).model_copy(update={"notify": [config]})
    to = Deliverer(store, [made], make=lambda _: told)
    with store.begin() as c:
        payload = {"id": "s" * 12, "event": "lapses", "job": name}
        store.post(c, f"{'s' * 12}/lapses/{name}", f"{name}/{EVERY}", payload, 1)
    assert to.run(LATER) == 1
    assert to.run(2 * LATER) == 0
    assert told.got == [f"{'s' * 12} lapses"]
