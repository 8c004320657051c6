"""Passes, one after the other, as a live job makes them: what comes late, what is not there."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from foreshock_models.errors import DataError
from foreshock_models.state import State
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobs.score import MAX_ROWS, score_pass, spans
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.scoring.scored_rows import ScoredRows
from foreshock_pipelines.sources.parquet import ParquetSource

MINUTE = 60_000


class Live:
    """A job over a file that grows, scored pass by pass."""

    def __init__(self, trained: Any, folder: Path) -> None:
        self.file = folder / "live.parquet"
        self.job: Job = trained.job.model_copy(
            update={"source": trained.job.source.model_copy(update={"parquet": self.file})}
        )
        self.windows: Windows = trained.windows
        self.detector, model = Registry(trained.registry).load("small")
        self.version = model.version
        self.end = self.windows.end_ms
        self.state: State | None = None
        self.cursors: dict[str, int] | None = None
        self.scores: dict[tuple[str, int], float] = {}

    def holds(self, until: int, lagging: str = "", lag: int = 0) -> None:
        """The file has all rows up to `until`, but those of `lagging` only up to `lag` steps before."""
        part = self.windows.between(None, until)
        if lagging:
            panel = part.to_panel()
            hide = (panel.codes == panel.entities.index(lagging)) & (panel.timestamps > until - lag * MINUTE)
            table = part.table
            for name in part.features:
                column = np.where(hide, np.nan, table.column(name).to_numpy())
                at = table.column_names.index(name)
                table = table.set_column(at, name, pa.array(column, pa.float64(), from_pandas=True))
            part = Windows(table)
        part.write_parquet(self.file)

    def score(self, first: int, last: int) -> ScoredRows:
        source = ParquetSource(self.job)
        done = score_pass(self.detector, self.version, source, self.job, (first, last), self.state, self.cursors)
        panel = done.panel
        there = np.asarray(~np.isnan(panel.values).all(axis=1))
        names = [panel.entities[c] for c in panel.codes]
        for i in np.flatnonzero(there):
            key = (names[i], int(panel.timestamps[i]))
            assert key not in self.scores, "a row was scored twice"
            self.scores[key] = float(done.score[i])
            self.cursors = {**(self.cursors or {}), key[0]: key[1]}
        self.state = done.state
        return done

    def of(self, entity: str) -> NDArray[np.float64]:
        return np.array([v for (name, _), v in sorted(self.scores.items()) if name == entity])


@pytest.fixture
def live(trained: Any, tmp_path: Path) -> Live:
    return Live(trained, tmp_path)


@pytest.fixture
def undisturbed(trained: Any, tmp_path: Path) -> Live:
    (tmp_path / "undisturbed").mkdir()
    one = Live(trained, tmp_path / "undisturbed")
    one.holds(one.end)
    one.score(one.end - 120 * MINUTE, one.end)
    return one


@pytest.mark.parametrize("lag", [3, 45])
def test_rows_of_an_entity_that_lags_are_scored_when_they_arrive(live: Live, undisturbed: Live, lag: int) -> None:
    late = live.windows.entities[1]
    middle = live.end - 60 * MINUTE
    live.holds(middle, lagging=late, lag=lag)
    live.score(live.end - 120 * MINUTE, middle)
    live.holds(live.end)
    done = live.score(middle + MINUTE, live.end)
    assert set(live.scores) == set(undisturbed.scores)
    assert live.scores == undisturbed.scores
    assert int((done.panel.timestamps <= middle).sum()) == lag


@pytest.mark.parametrize("seed", [1, 2])
def test_scores_do_not_depend_on_when_rows_arrive_and_in_which_passes(
    live: Live, undisturbed: Live, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    done = live.end - 110 * MINUTE
    live.holds(done)
    live.score(live.end - 120 * MINUTE, done)
    while done < live.end:
        until = min(done + int(draw.integers(1, 30)) * MINUTE, live.end)
        live.holds(until, lagging=str(draw.choice(live.windows.entities)), lag=int(draw.integers(0, 40)))
        live.score(done + MINUTE, until)
        done = until
    live.holds(live.end)
    live.score(live.end + MINUTE, live.end + MINUTE)
    assert live.scores == undisturbed.scores


def test_rows_that_arrive_later_than_the_bound_are_not_looked_for(live: Live) -> None:
    late = live.windows.entities[0]
    far = live.end - (MAX_ROWS + 300) * MINUTE
    live.holds(live.end, lagging=late, lag=MAX_ROWS + 400)
    live.cursors = {name: live.end for name in live.windows.entities} | {late: far}
    live.holds(live.end)
    done = live.score(live.end, live.end)
    rows = np.asarray(done.panel.codes == done.panel.entities.index(late))
    assert int(rows.sum()) == MAX_ROWS


def test_a_span_without_samples_is_passed_over_once_the_job_was_scored(live: Live) -> None:
    live.holds(live.end)
    with pytest.raises(DataError, match="empty"):
        live.score(live.end + 600 * MINUTE, live.end + 610 * MINUTE)
    live.score(live.end - 10 * MINUTE, live.end)
    done = live.score(live.end + 600 * MINUTE, live.end + 610 * MINUTE)
    assert (done.panel.n_rows, done.last_ms) == (0, live.end + 610 * MINUTE)


def test_an_entity_that_pauses_keeps_its_calibration(live: Live) -> None:
    live.holds(live.end)
    live.score(live.end - 60 * MINUTE, live.end)
    assert live.state is not None
    before = live.state
    live.score(live.end + 600 * MINUTE, live.end + 610 * MINUTE)
    assert live.state.entities == before.entities
    assert (live.state.arrays["calibration"] == before.arrays["calibration"]).all()


def test_a_long_gap_is_scored_in_order_in_chunks() -> None:
    found = list(spans(0, 5000 * MINUTE, 60))
    assert found[0][0] == MINUTE and found[-1][1] == 5000 * MINUTE
    assert all(b[0] == a[1] + MINUTE for a, b in itertools.pairwise(found))
    assert max((b - a) // MINUTE + 1 for a, b in found) == MAX_ROWS


def test_a_pass_over_a_partial_answer_says_so(live: Live) -> None:
    live.holds(live.end)
    assert live.score(live.end - 10 * MINUTE, live.end).partial == ()
    panel = live.windows.to_panel()
    columns = {name: panel.values[:, j] for j, name in enumerate(panel.features)}
    names = np.array(panel.entities, dtype=object)[panel.codes]
    part = Windows.build(panel.timestamps, {"instance": names}, columns, step=60, partial=["store-2 is down"])
    part.write_parquet(live.file)
    assert live.score(live.end + MINUTE, live.end + 2 * MINUTE).partial == ("store-2 is down",)
    assert live.score(live.end + 600 * MINUTE, live.end + 610 * MINUTE).partial == ("store-2 is down",)
