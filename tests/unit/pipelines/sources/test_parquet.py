from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreshock_models.errors import DataError, QueryError, SourceUnavailable
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.sources import open_source
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


# -- reading ---------------------------------------------------------------------------------------------
def test_the_features_of_the_job_are_read_in_its_order(path: Path, fleet: Windows) -> None:
    got = open_source(make_job(path, "memory", "cpu")).read(fleet.start, fleet.end)
    assert (got.job, got.features) == ("saved", ("memory", "cpu"))
    assert got.table.equals(fleet.table.select(["timestamp", "instance", "memory", "cpu"]))


def test_only_the_time_range_is_read(path: Path, fleet: Windows) -> None:
    start, end = fleet.start + timedelta(hours=1), fleet.start + timedelta(hours=2)
    seen: list[tuple[int, int]] = []
    got = ParquetSource(make_job(path)).read(start, end, progress=lambda *counts: seen.append(counts))
    assert (got.start, got.end, got.n_rows) == (start, end, 61 * 3)
    assert seen == [(1, 1)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(st.integers(0, 1439))
def test_a_read_in_two_parts_is_the_whole_read(path: Path, fleet: Windows, cut: int) -> None:
    source, middle = ParquetSource(make_job(path)), fleet.start + timedelta(minutes=cut)
    parts = [source.read(fleet.start, middle)]
    if cut < 1439:
        parts.append(source.read(middle + timedelta(minutes=1), fleet.end))
    assert Windows.concat(parts) == source.read(fleet.start, fleet.end)


@pytest.mark.parametrize("split", ["time", "entity"])
def test_a_folder_of_files_is_read_as_one(fleet: Windows, tmp_path: Path, split: str) -> None:
    middle = fleet.start + timedelta(hours=7)
    parts = {
        "time": [fleet.between(end=middle), fleet.between(middle + timedelta(minutes=1))],
        "entity": [fleet.select(fleet.entities[:1]), fleet.select(fleet.entities[1:])],
    }[split]
    for i, part in enumerate(parts):
        part.write_parquet(tmp_path / f"{i}.parquet")
    got = ParquetSource(make_job(tmp_path, *fleet.features)).read(fleet.start, fleet.end)
    assert got.table.equals(fleet.table)


def test_samples_outside_of_the_valid_range_become_null(path: Path, fleet: Windows) -> None:
    job = make_job(path, queries={"cpu": {"query": "up", "valid_range": [0.4, 0.5]}})
    got = ParquetSource(job).read(fleet.start, fleet.end).to_pandas()["cpu"]
    want = fleet.to_pandas()["cpu"]
    assert got.dropna().between(0.4, 0.5).all()
    assert got.notna().sum() == want.between(0.4, 0.5).sum() > 0


def test_a_file_that_changed_is_read_anew(path: Path, fleet: Windows) -> None:
    source = ParquetSource(make_job(path))
    assert source.latest() == fleet.end
    fleet.between(end=fleet.start + timedelta(hours=1)).write_parquet(path)
    os.utime(path, ns=(1, 1))
    assert source.latest() == fleet.start + timedelta(hours=1)


def test_a_start_after_the_end_is_refused(path: Path, fleet: Windows) -> None:
    with pytest.raises(DataError, match="the start must be before the end"):
        ParquetSource(make_job(path)).read(fleet.end, fleet.start)


# -- what is there ---------------------------------------------------------------------------------------
def test_entities_are_counted_by_their_samples(path: Path, fleet: Windows) -> None:
    late = fleet.end - timedelta(minutes=5)  # the third host sends nothing any more
    fleet.between(late).write_parquet(path)
    assert ParquetSource(make_job(path)).discover() == {"cpu": 2, "memory": 2}


def test_entities_are_counted_over_row_groups_that_name_different_ones(path: Path, fleet: Windows) -> None:
    hosts = [fleet.select([name]).to_pandas().astype({"instance": str}) for name in fleet.entities]
    with pq.ParquetWriter(path, fleet.table.schema) as writer:
        for host in hosts:
            writer.write_table(Windows.from_pandas(host, entity=["instance"]).table.cast(fleet.table.schema))
    assert ParquetSource(make_job(path)).discover() == {"cpu": 3, "memory": 3}


def test_a_file_of_windows_passes_the_check(path: Path) -> None:
    ParquetSource(make_job(path)).check()


# -- errors ----------------------------------------------------------------------------------------------
def test_a_feature_that_is_not_in_the_file_is_named_with_the_nearest(path: Path) -> None:
    with pytest.raises(QueryError, match=r"no feature 'memry'; did you mean 'memory'\? Allowed: cpu, "):
        ParquetSource(make_job(path, "cpu", "memry")).check()


def test_an_entity_label_that_is_not_in_the_file_is_named_with_the_nearest(path: Path) -> None:
    with pytest.raises(QueryError, match=r"no entity label 'instanc'; did you mean 'instance'\?"):
        ParquetSource(make_job(path, entity=["instanc"])).check()


def test_an_entity_label_that_the_job_does_not_name_is_refused(path: Path) -> None:
    frame = Windows.read_parquet(path).to_pandas().assign(zone="eu")
    Windows.from_pandas(frame, entity=["instance", "zone"]).write_parquet(path)
    with pytest.raises(QueryError, match="entity label 'zone' that the job does not name"):
        ParquetSource(make_job(path)).check()


def test_another_step_than_the_jobs_is_refused(path: Path) -> None:
    with pytest.raises(QueryError, match=r"its step is 60 s, the job's is 30 s; set the job's step"):
        ParquetSource(make_job(path, step="30s")).check()


def test_a_file_that_does_not_exist_is_named_with_what_writes_one(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"absent\.parquet: .*No such file"):
        ParquetSource(make_job(tmp_path / "absent.parquet")).check()


def test_a_folder_without_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"holds no \*\.parquet"):
        ParquetSource(make_job(tmp_path)).check()


def test_a_damaged_file_is_named(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceUnavailable, match=r"fleet\.parquet: cannot be read as windows: "):
        ParquetSource(make_job(path)).check()


def test_a_file_of_something_else_is_named(path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2]}), path)
    with pytest.raises(SourceUnavailable, match=r"fleet\.parquet: .*no 'foreshock' metadata"):
        ParquetSource(make_job(path)).check()


def test_a_file_without_rows_has_no_latest_time(path: Path, fleet: Windows) -> None:
    fleet.between(end=datetime(1970, 1, 2, tzinfo=UTC)).write_parquet(path)
    with pytest.raises(QueryError, match="holds no rows"):
        ParquetSource(make_job(path)).latest()
