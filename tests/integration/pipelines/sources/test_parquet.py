from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from foreshock_pipelines.datasets import ray_dataset
from foreshock_pipelines.datasets.ray_dataset import collect_windows
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.sources.parquet import ParquetSource


def make_job(path: Path, *features: str, **keys: Any) -> Job:
    queries = {name: "up" for name in features or ("cpu", "memory")}
    return Job.model_validate(
        {"name": "saved", "source": {"parquet": path}, "queries": queries, "entity": ["instance"], **keys}
    )


@pytest.fixture
def path(fleet: Windows, tmp_path: Path) -> Path:
    """A file of the fleet."""
    fleet.write_parquet(tmp_path / "fleet.parquet")
    return tmp_path / "fleet.parquet"


# -- Ray (Ray Data warns of its own defaults) --------------------------------------------------------------
@pytest.mark.ray
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data")
@pytest.mark.usefixtures("ray_cluster")
def test_a_dataset_read_by_ray_tasks_is_the_whole_read(
    path: Path, fleet: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_dataset, "MAX_STEPS", 500)  # three tasks
    source = ParquetSource(make_job(path))
    dataset = source.dataset(fleet.start, fleet.end)
    blocks = [Windows(block) for block in _blocks(dataset)]
    assert sorted(block.start for block in blocks) == [fleet.start + timedelta(minutes=m) for m in (0, 500, 1000)]
    assert all(block.entities == fleet.entities for block in blocks)
    assert collect_windows(dataset) == source.read(fleet.start, fleet.end)


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data")
@pytest.mark.usefixtures("ray_cluster")
def test_a_dataset_outside_of_the_file_is_empty(path: Path, fleet: Windows) -> None:
    later = fleet.end + timedelta(days=1)
    got = collect_windows(ParquetSource(make_job(path)).dataset(later, later + timedelta(hours=1)))
    assert (got.n_rows, got.features) == (0, ("cpu", "memory"))


def _blocks(dataset: Any) -> list[pa.Table]:
    import ray

    return list(ray.get(dataset.to_arrow_refs()))
