"""The history that training reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.training.history import read_history

START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(hours=2)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job over a file that was saved from a partial answer."""
    times = round(START.timestamp() * 1000) + np.arange(121) * 60_000
    columns = {"cpu": np.linspace(0, 1, 121)}
    labels = {"instance": ["a"] * 121}
    windows = Windows.build(times, labels, columns, step=60, partial=["store-2 is down"])
    windows.write_parquet(tmp_path / "part.parquet")
    source = {"parquet": tmp_path / "part.parquet"}
    return Job.model_validate({"name": "part", "source": source, "queries": {"cpu": "cpu"}, "entity": ["instance"]})


def test_a_partial_answer_is_told_and_used(job: Job) -> None:
    lines: list[str] = []
    windows = read_history(job, START, END, progress=lines.append)
    assert windows.n_rows == 121
    assert lines == ["partial answer, rows may be missing: store-2 is down"]
