"""Who is told: the notifiers of a job, as it is now."""

from __future__ import annotations

import threading

from tests.fixtures.recorder import LATER, Recorder, deliverer, fails, job, post

from foreshock.alerts.delivery import alert_deliverer
from foreshock.notify.outbox import EVERY, Outbox
from foreshock.store import Store
from foreshock_models.errors import NotifyError
from foreshock_pipelines.jobfile import NotifierConfig


def test_two_notifiers_that_differ_in_their_headers_alone_are_both_told(store: Store) -> None:
    told: list[str] = []

    def make(config: NotifierConfig) -> Recorder:
        return Recorder(lambda _: told.append(config.headers["X-Scope-OrgID"].get_secret_value()))

    configs = [NotifierConfig(type="webhook", url="http://x", headers={"X-Scope-OrgID": who}) for who in "ab"]
    to = alert_deliverer(store, [job("j").model_copy(update={"notify": configs})], make=make)
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
    both = [alert_deliverer(store, jobs, make=lambda _: to_) for _ in range(2)]
    post(store, "j", *(f"a{n}/opened" for n in range(30)))
    threads = [threading.Thread(target=one.run, args=(LATER,)) for one in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Outbox(store).undelivered() == 0
    assert set(sent) == {f"j-a{n}-opened" for n in range(30)}


def test_the_longest_names_fit_into_the_store(store_anywhere: Store) -> None:
    store, name = store_anywhere, "j" * 63
    told = Recorder()
    config = NotifierConfig(type="a-plugin-with-a-name-that-is-longer-than-most-people-type", url="http://x")
    made = job(name).model_copy(update={"notify": [config]})
    to = alert_deliverer(store, [made], make=lambda _: told)
    with store.begin() as c:
        payload = {"id": "s" * 12, "event": "lapses", "job": name}
        Outbox(store).post(c, f"{'s' * 12}/lapses/{name}", f"{name}/{EVERY}", payload, 1)
    assert to.run(LATER) == 1
    assert to.run(2 * LATER) == 0
    assert told.got == [f"{'s' * 12} lapses"]
