"""Live settings on each database."""

from __future__ import annotations

import threading

from foreshock.audit.repository import AuditRepository
from foreshock.configuration import Configuration, ConfigWatch
from foreshock.configuration.service import StaleVersion
from foreshock.store import Store


def test_of_changes_at_once_one_is_made_and_audited(store_anywhere: Store) -> None:
    configuration = Configuration(store_anywhere)
    first = configuration.current().number
    done: list[str] = []

    def change(level: str) -> None:
        try:
            Configuration(store_anywhere).set({"log_level": level}, expected=first)
            done.append(level)
        except StaleVersion:
            done.append("stale")

    threads = [threading.Thread(target=change, args=(level,)) for level in ("DEBUG", "INFO", "WARNING", "ERROR")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(done) == 4 and done.count("stale") == 3
    assert configuration.current().number == first + 1
    with store_anywhere.read() as c:
        assert len(AuditRepository(store_anywhere).find(c, act="config")) == 1


def test_a_refusal_and_a_return_are_versions(store_anywhere: Store) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("no room")

    configuration = Configuration(store_anywhere)
    configuration.pin({"keep_runs": "3d"})
    made = configuration.set({"log_level": "DEBUG"})
    ConfigWatch(store_anywhere, {}, "test", broken).look()
    assert configuration.version(made.number).problem == "test: RuntimeError: no room"
    assert configuration.current().values == {} and configuration.pinned == {"keep_runs": "3d"}
    assert configuration.rollback(made.number).values == {"log_level": "DEBUG"}
    assert [version.cause for version in configuration.history(limit=3)] == ["rollback", "refused", "set"]
