"""Whatever a notifier does ends with it: the others get their alerts."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from tests.fixtures.recorder import LATER, Recorder, Wordless, counted, deliverer, failing, fails, job, post

from foreshock.alerts.delivery import alert_deliverer
from foreshock.alerts.repository import AlertRepository
from foreshock.notify.outbox import Outbox
from foreshock.notify.sender import LONGEST_PAUSE
from foreshock.store import Store
from foreshock.store import tables as t
from foreshock_models.errors import NotifyError
from foreshock_pipelines.jobfile import NotifierConfig


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
    assert (Outbox(store).undelivered(), failing(to, "j")) == (0, 0)


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
    events = [(line["event"], line["why"]) for line in AlertRepository(store).history("j-a")]
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
    to = alert_deliverer(store, [job("j").model_copy(update={"notify": [config]})], make=lambda _: bad)
    post(store, "j", "a/opened")
    to.run(LATER)
    out = capsys.readouterr()
    with store.begin() as c:
        stored = c.execute(sa.select(t.outbox.c.error).where(t.outbox.c.sent_ms.is_(None))).scalar_one()
    told = out.out + out.err + stored + str(AlertRepository(store).history("j-a"))
    assert "cannot post to" in told
    for secret in ("hunter2", "opensesame", "services"):
        assert secret not in told
