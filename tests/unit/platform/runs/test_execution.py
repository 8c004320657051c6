"""Runs as Ray tasks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from foreshock.runs.execution import execute
from foreshock.runs.model import Run
from foreshock.runs.repository import RunRepository
from foreshock.store import open_store
from foreshock_pipelines.registry import Registry


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def runs(url: str) -> Iterator[RunRepository]:
    store = open_store(url)
    yield RunRepository(store)
    store.close()


def begin(runs: RunRepository, kind: str = "train", promotion: str | None = None) -> Run:
    now = datetime.now(UTC)
    run = runs.begin("small", kind, now, now=now, cause="test", promotion=promotion)
    assert run is not None
    return run


def test_a_run_leaves_state_log_and_result_in_the_store(
    runs: RunRepository, url: str, trained: Any, tmp_path: Path
) -> None:
    run = begin(runs)
    execute(run.id, "train", trained.job, url, str(tmp_path / "models"))
    done = runs.get(run.id)
    assert (done.state, done.error) == ("succeeded", None)
    assert "published small" in done.log
    assert done.result["version"] == Registry(tmp_path / "models").champion("small")


@pytest.mark.parametrize(("promotion", "compared"), [("always", False), (None, True)])
def test_a_run_trains_under_the_promotion_policy_that_it_was_begun_with(
    promotion: str | None, compared: bool, runs: RunRepository, url: str, trained: Any, tmp_path: Path
) -> None:
    execute(begin(runs).id, "train", trained.job, url, str(tmp_path / "models"))
    run = begin(runs, promotion=promotion)
    assert runs.get(run.id).promotion == promotion
    execute(run.id, "train", trained.job, url, str(tmp_path / "models"))
    assert (runs.get(run.id).result["comparison"] is not None) is compared


def test_a_promotion_policy_that_does_not_exist_fails_the_run(
    runs: RunRepository, url: str, trained: Any, tmp_path: Path
) -> None:
    run = begin(runs, promotion="alway")
    execute(run.id, "train", trained.job, url, str(tmp_path / "models"))
    assert "did you mean 'always'?" in (runs.get(run.id).error or "")


def test_an_unknown_kind_fails_and_says_which_there_are(runs: RunRepository, url: str, trained: Any) -> None:
    run = begin(runs, "trian")
    execute(run.id, "trian", trained.job, url, str(trained.registry))
    failed = runs.get(run.id)
    assert failed.state == "failed"
    assert "did you mean 'train'?" in (failed.error or "")


def test_a_run_that_was_cancelled_before_it_began_does_nothing(
    runs: RunRepository, url: str, trained: Any, tmp_path: Path
) -> None:
    run = begin(runs)
    runs.update(run.id, state="cancelled")
    assert execute(run.id, "train", trained.job, url, str(tmp_path / "models")) == {}
    assert Registry(tmp_path / "models").champion("small") is None
