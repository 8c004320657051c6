"""Scheduled runs do not learn from what people took out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from foreshock.runs.work import WORK, Task
from foreshock.silences.matchers import parse_matcher
from foreshock.silences.model import Silence
from foreshock.silences.repository import SilenceRepository
from foreshock.store import open_store
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.sources import open_source
from foreshock_pipelines.training.exclusions import Exclusion, exclude_rows
from foreshock_pipelines.training.manifest import fingerprint

HOUR = 3_600_000


def test_a_scheduled_training_leaves_out_the_rows_of_a_silence_declared_afterwards(
    trained: Any, tmp_path: Path
) -> None:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    panel = open_source(trained.job).read(trained.windows.start, trained.windows.end).to_panel()
    entity, end = panel.entities[0], int(panel.timestamps.max())
    SilenceRepository(store).add(
        Silence(
            "s-1", (parse_matcher(f"instance={entity}"),), end - 4 * HOUR, end - HOUR, "anna", "moved", end,
            exclude=True,
        )
    )  # fmt: skip
    registry = Registry(tmp_path / "models")
    WORK["train"](Task(trained.job, registry, store, lambda line: None))
    learnt = registry.get("small").manifest["training"]["fingerprint"]
    emptied = exclude_rows(panel, [Exclusion(entity, end - 4 * HOUR, end - HOUR - 1)])
    assert learnt == fingerprint(emptied) != fingerprint(panel)
    store.close()
