"""Versions of the live settings, and processes that take them up."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from foreshock.audit.acting import Actor, acting
from foreshock.audit.repository import AuditRepository
from foreshock.configuration import Configuration, ConfigWatch
from foreshock.configuration.model import described, in_force
from foreshock.configuration.service import StaleVersion
from foreshock.settings import LiveSettings, Settings
from foreshock.store import Store, config_tables
from foreshock_models.errors import ConfigError, StoreError


def audited(store: Store) -> list[tuple[str | None, str, str, str]]:
    with store.read() as c:
        found = AuditRepository(store).find(c, act="config")
    return [(entry.who, entry.act, entry.subject, entry.outcome) for entry in found]


def test_a_change_is_a_version_with_its_author_and_an_audit_entry(store: Store) -> None:
    configuration = Configuration(store)
    assert configuration.current().number == 0
    with acting(Actor("anna", "person")):
        made = configuration.set({"log_level": "DEBUG", "keep_runs": "1d12h"}, expected=0, note="a closer look")
    assert (made.number, made.who, made.note, made.cause) == (1, "anna", "a closer look", "set")
    assert configuration.current() == made == configuration.version(1)
    assert made.values == {"log_level": "DEBUG", "keep_runs": "1d12h"}
    assert audited(store) == [("anna", "config:set", "version 1", "done")]


def test_a_setting_that_is_not_named_has_its_default_again(store: Store) -> None:
    configuration = Configuration(store)
    configuration.set({"log_level": "DEBUG"})
    configuration.set({"limit_person": "5 per second"})
    live = in_force(configuration.current().values, {})
    assert (live.log_level, live.limit_person) == ("INFO", "5 per second")
    assert configuration.diff(1, 2) == {
        "limit_person": {"before": "1200 per minute", "after": "5 per second"},
        "log_level": {"before": "DEBUG", "after": "INFO"},
    }


def test_what_was_read_before_another_change_is_refused(store: Store) -> None:
    configuration = Configuration(store)
    configuration.set({"log_level": "DEBUG"}, expected=0)
    with pytest.raises(StaleVersion, match="version 1 is in force"):
        configuration.set({"log_level": "ERROR"}, expected=0)
    with pytest.raises(StaleVersion):
        configuration.rollback(0, expected=0)
    assert configuration.current().number == 1


def test_of_changes_at_once_from_the_same_version_one_is_made(store: Store) -> None:
    done: list[str] = []

    def change(level: str) -> None:
        try:
            Configuration(store).set({"log_level": level}, expected=0)
            done.append(level)
        except StaleVersion:
            done.append("stale")

    threads = [threading.Thread(target=change, args=(level,)) for level in ("DEBUG", "INFO", "WARNING", "ERROR")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert done.count("stale") == 3 and Configuration(store).current().number == 1


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"log_lvel": "DEBUG"}, "log_lvel: no such setting; .*log_level"),
        ({"port": 80}, "port: takes a restart, with FORESHOCK_PORT; live: "),
        ({"api_token": "x"}, "api_token: takes a restart"),
        ({"log_level": "LOUD"}, "log_level: .*DEBUG"),
        ({"limit_person": "many"}, "limit_person: write a number and a unit"),
        ({"limit_person": None}, "limit_person: "),
        ({"keep_runs": "-1d"}, "keep_runs: "),
        ({"keep_runs": "1e999d"}, "keep_runs: "),
        ({"max_body": 3}, "max_body: .*1024"),
        ({"max_body": "ten", "x" * 5000: 1}, "no such setting"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed_and_nothing_is_kept(
    store: Store, values: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        Configuration(store).set(values)
    assert len(str(caught.value)) < 2000
    assert Configuration(store).history() == [] and audited(store) == []


def test_the_environment_wins_and_a_change_against_it_is_refused(store: Store) -> None:
    pinned = {"log_level": "WARNING"}
    configuration = Configuration(store, pinned)
    with pytest.raises(ConfigError, match="FORESHOCK_LOG_LEVEL is set in the environment of the installation"):
        configuration.set({"log_level": "DEBUG"})
    Configuration(store, {}).set({"log_level": "DEBUG", "keep_runs": "2d"})
    found = described(configuration.current().values, pinned)
    got = {name: (one["value"], one["source"]) for name, one in found.items()}
    assert got.items() >= {
        "log_level": ("WARNING", "environment"), "keep_runs": ("2d", "store"), "keep_outbox": ("7d", "default"),
    }.items()  # fmt: skip
    assert in_force(configuration.current().values, pinned).log_level == "WARNING"


def test_what_the_environment_fixed_at_the_last_start_is_known_to_commands(store: Store) -> None:
    assert Configuration(store).noted() is None
    Configuration(store).pin({"log_level": "ERROR"})
    Configuration(store).pin({"keep_runs": "3d"})
    assert Configuration(store).pinned == {"keep_runs": "3d"}


def test_settings_of_the_environment_are_pinned_and_defaults_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FORESHOCK_{name.upper()}", raising=False)
    assert Settings().pinned == {}
    monkeypatch.setenv("FORESHOCK_KEEP_RUNS", "12h")
    monkeypatch.setenv("FORESHOCK_PORT", "9000")
    assert Settings().pinned == {"keep_runs": "12h"}


def test_an_older_version_returns_as_a_new_one(store: Store) -> None:
    configuration = Configuration(store)
    configuration.set({"log_level": "DEBUG"})
    configuration.set({"log_level": "ERROR"})
    made = configuration.rollback(1)
    assert (made.number, made.values, made.cause) == (3, {"log_level": "DEBUG"}, "rollback")
    assert configuration.rollback(0).values == {}
    assert [version.number for version in configuration.history(limit=2)] == [4, 3]
    assert [version.number for version in configuration.history(before=3, limit=9)] == [2, 1]
    with pytest.raises(StoreError, match="no version 9 of the settings; there are 0 to 4"):
        configuration.rollback(9)


def test_a_process_takes_up_each_version_once(store: Store) -> None:
    taken: list[LiveSettings] = []
    watch = ConfigWatch(store, {"keep_runs": "1d"}, "test", taken.append)
    watch.look()
    assert taken == []
    Configuration(store).set({"log_level": "DEBUG", "keep_runs": "9d"})
    watch.look()
    watch.look()
    assert [(live.log_level, live.keep_runs.days) for live in taken] == [("DEBUG", 1)]


def test_a_version_that_a_process_cannot_apply_is_replaced_by_the_one_before(store: Store) -> None:
    configuration = Configuration(store)
    configuration.set({"log_level": "WARNING"})
    taken: list[str] = []

    def picky(live: LiveSettings) -> None:
        if live.log_level == "DEBUG":
            raise RuntimeError("no room for so many lines")
        taken.append(live.log_level)

    one, other = (ConfigWatch(store, {}, name, apply) for name, apply in (("one", picky), ("two", lambda _: None)))
    one.look()
    made = configuration.set({"log_level": "DEBUG"})
    other.look()
    with capture_logs() as logs:
        for _ in range(3):
            one.look()
            other.look()
    assert [line["error"] for line in logs if line["log_level"] == "warning"] == [
        "RuntimeError: no room for so many lines"
    ]
    assert taken == ["WARNING", "WARNING"]
    assert configuration.current().values == {"log_level": "WARNING"}
    assert configuration.current().cause == "refused" and other.number == one.number == 3
    assert configuration.settle(made) == "one: RuntimeError: no room for so many lines"
    assert audited(store)[0] == ("foreshock", "config:refuse", "version 2", "failed")


def test_a_process_that_can_apply_nothing_does_not_begin_a_race(store: Store) -> None:
    def broken(live: LiveSettings) -> None:
        raise RuntimeError("never")

    watch = ConfigWatch(store, {}, "broken", broken)
    Configuration(store).set({"log_level": "DEBUG"})
    for _ in range(5):
        watch.look()
    assert Configuration(store).current().number == 2


def test_a_setting_that_this_version_does_not_know_is_passed_over(store: Store) -> None:
    Configuration(store).set({"log_level": "DEBUG"})
    with store.begin() as c:
        c.execute(sa.update(config_tables.config_versions).values(settings={"log_level": "DEBUG", "later": 1}))
    taken: list[LiveSettings] = []
    ConfigWatch(store, {}, "test", taken.append).look()
    assert taken[0].log_level == "DEBUG"
    assert Configuration(store).diff(0, 1) == {"log_level": {"before": "INFO", "after": "DEBUG"}}
