"""Scheduled runs, one kind after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foreshock.runs.work import WORK, Task
from foreshock.store import Store, open_store
from foreshock_pipelines.registry import Registry


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/store.db")
    yield opened
    opened.close()


@pytest.mark.ray
def test_a_scheduled_tuning_promotes_what_wins_and_outlives_its_labels(
    trained: Any, store: Store, tmp_path: Path, ray_cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORESHOCK_HOME", str(tmp_path))
    labels = tmp_path / "labels.csv"
    labels.write_text("start,end,instance\n2020-01-01,2020-01-02,host-01\n")
    job = trained.job.model_copy(update={"detectors": {"pyod:HBOS": {}}, "labels": labels})
    registry = Registry(tmp_path / "models")
    result = WORK["tune"](Task(job, registry, store, lambda line: None))
    assert result["promoted"]
    assert result["basis"] == "injected"
    assert registry.champion("small") == result["version"]
