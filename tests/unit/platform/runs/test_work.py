"""Scheduled runs, one kind after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foreshock.feedback.labels import known_anomalies
from foreshock.runs.work import WORK, Task
from foreshock.store import Store, open_store
from foreshock_pipelines.promotion.policy import ALWAYS
from foreshock_pipelines.registry import Registry


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/store.db")
    yield opened
    opened.close()


def test_the_second_scheduled_training_is_compared_with_the_champion_with_its_reason_in_the_result(
    trained: Any, store: Store, tmp_path: Path
) -> None:
    lines: list[str] = []
    task = Task(trained.job, Registry(tmp_path / "models"), store, lines.append)
    first, second = WORK["train"](task), WORK["train"](task)
    assert (first["comparison"], list(first["aliases"])) == (None, ["champion"])
    assert second["comparison"]["champion_version"] == first["version"]
    (at,) = [number for number, line in enumerate(lines) if second["comparison"]["reason"] in line]
    assert all(" alert" in line for line in lines[at + 1 :])  # from which values it would alert


def test_a_training_that_a_person_asks_for_serves_at_once(trained: Any, store: Store, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "models")
    task = Task(trained.job, registry, store, lambda line: None, promotion=ALWAYS)
    WORK["train"](task)
    second = WORK["train"](task)
    assert second["comparison"] is None
    assert registry.champion("small") == second["version"]


def test_labels_of_a_file_are_known_anomalies(trained: Any, store: Store, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("start,end,instance\n2026-03-01,2026-03-02,host-01\n")
    assert list(known_anomalies(store, trained.job, file)) == ["host-01"]
    assert known_anomalies(store, trained.job) == {}
