"""New entities, gaps, restarts, clock changes and weekends are no incidents."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from foreshock_models.calibration.budget import Budget
from foreshock_models.detectors import Detector, IForest
from foreshock_models.kernels.constants import GAP_ROWS, QUIET_ROWS, WARM_UP_ROWS
from foreshock_models.panel import Panel
from foreshock_models.policy import EntityState, Policy
from foreshock_models.state import State
from foreshock_pipelines.datasets.demo import demo_fleet

DAY = 24 * 3_600_000
STEP = 120.0
HOSTS = 12


def fleet(days: float, hosts: int = HOSTS, seed: int = 7, end: datetime | None = None) -> Panel:
    windows, _ = demo_fleet(hosts=hosts, days=days, step=STEP, incidents=0, seed=seed, end=end)
    return windows.to_panel()


def with_values(panel: Panel, values: NDArray[np.float64]) -> Panel:
    return Panel(values, panel.offsets, panel.entities, panel.features, panel.timestamps, panel.step)


def openings(detector: Detector, panel: Panel, since: int, *, while_warming: bool = False) -> int:
    scores = detector.score(panel, since=since)
    permitted = np.ones(scores.panel.n_rows, np.bool_) if while_warming else ~scores.warming
    return int((Policy().apply(scores.panel, scores.score, permitted).entity_state == EntityState.OPENED).sum())


def fitted_on_a_week(seed: int) -> tuple[Detector, Panel, int]:
    """A detector fitted on a week, and the week after it."""
    panel = fleet(14, seed=seed)
    since = int(panel.timestamps.max()) - 7 * DAY
    detector = IForest(n_trees=20).fit(panel.take(panel.timestamps < since), budget=Budget.parse("1 per week"))
    return detector, panel, since


@pytest.fixture(scope="module")
def week() -> tuple[Detector, Panel, int]:
    return fitted_on_a_week(7)


def rolling_deploys(panel: Panel, since: int) -> Panel:
    """The week from `since` on: every other host is replaced four times, the source is away for two hours."""
    values = panel.values.copy()
    rng = np.random.default_rng(0)
    errors = panel.features.index("errors")
    away = since + 2 * DAY
    hours = np.arange(since, since + 7 * DAY, 3_600_000)
    parts, names = [], []
    for number, (name, rows) in enumerate(panel):
        times = panel.timestamps[rows]
        values[rows][(times >= away) & (times < away + 7_200_000)] = np.nan
        cuts = np.sort(rng.choice(hours, 4 if number % 2 else 0, replace=False)).tolist()
        for k, (begin, end) in enumerate(pairwise([int(times[0]), *cuts, int(times[-1]) + 1])):
            of = np.flatnonzero((times >= begin) & (times < end)) + rows.start
            if len(of) == 0:
                continue
            if k:  # the process is another one: its rates begin anew
                values[of[:2], errors], values[of[2:4], errors] = np.nan, 0.0
            parts.append(of)
            names.append(name if k == 0 else f"{name}-{k}")
    order = np.concatenate(parts)
    return Panel(
        np.ascontiguousarray(values[order]), np.cumsum([0, *map(len, parts)]), tuple(names), panel.features,
        panel.timestamps[order], panel.step,
    )  # fmt: skip


def test_a_week_of_rolling_deploys_stays_within_the_budget(week: tuple[Detector, Panel, int]) -> None:
    found = 0
    for detector, panel, since in (week, fitted_on_a_week(1)):
        replay = rolling_deploys(panel, since)
        assert replay.n_entities > 2 * HOSTS
        here = openings(detector, replay, since)
        assert here <= openings(detector, panel, since) + 2
        found += here
    assert found <= 2 * HOSTS  # 1 per week and host, in the mean: a single week has 9 to 13


def test_clocks_that_change_by_an_hour_stay_within_the_budget(week: tuple[Detector, Panel, int]) -> None:
    detector, panel, since = week
    hour = round(3600 / STEP)
    values = panel.values.copy()
    for _, rows in panel:
        after = np.flatnonzero(panel.timestamps[rows] >= since + DAY) + rows.start
        values[after[:-hour]] = panel.values[after[hour:]]  # the load follows the clocks of people
    assert openings(detector, with_values(panel, values), since) <= HOSTS


def test_a_line_from_a_weekend_is_not_applied_to_monday() -> None:
    found = []
    for seed in (7, 1, 2, 3, 4):
        panel = fleet(7, 20, seed, datetime(2026, 3, 2, 18, tzinfo=UTC))
        since = int(panel.timestamps.max()) - DAY // 4
        detector = IForest(n_trees=20).fit(panel.take(panel.timestamps < since), budget=Budget.parse("1 per week"))
        found.append(openings(detector, panel, since))
    assert np.mean(found) <= 20 / 7 / 4  # 1 per week and host; a line of the weekend gave 6 to 11


def test_a_new_entity_does_not_alert_until_it_is_warm_unless_asked(week: tuple[Detector, Panel, int]) -> None:
    detector, panel, since = week
    rows = dict(panel)["host-02"]
    first = int(np.searchsorted(panel.timestamps[rows], since))
    part = panel.rows(rows.start + first, rows.start + first + WARM_UP_ROWS + 60)
    values = part.values.copy()
    values[100:130, 0] = 0.99
    values[WARM_UP_ROWS + 20 : WARM_UP_ROWS + 50, 0] = 0.99
    born = Panel(values, part.offsets, ("newborn",), part.features, part.timestamps, part.step)
    scores = detector.score(born)
    assert scores.warming[:WARM_UP_ROWS].all()
    assert not scores.warming[WARM_UP_ROWS:].any()
    assert openings(detector, born, since) == 1
    assert openings(detector, born, since, while_warming=True) >= 2
    assert len(scores.anomalies()) == 1


@pytest.mark.parametrize(("gap", "warming"), [(GAP_ROWS, 0), (GAP_ROWS + 1, QUIET_ROWS)])
def test_rows_after_a_gap_are_warm_up_live_as_in_one_call(
    week: tuple[Detector, Panel, int], gap: int, warming: int
) -> None:
    detector, panel, since = week
    part = panel.select(["host-02"])
    first = int(np.searchsorted(part.timestamps, since))
    values = part.values.copy()
    values[first + 50 : first + 50 + gap] = np.nan
    broken = with_values(part, values)
    whole = detector.score(broken, since=since)
    back = 50 + gap
    assert whole.warming[back : back + 100].sum() == warming
    assert whole.warming[:back].sum() == 0
    state: State | None = None
    for row in range(first, first + back + 20):
        live = detector.score(broken.rows(row - detector.context, row + 1), since=part.timestamps[row], state=state)
        state = live.state
        assert bool(live.warming[0]) == bool(whole.warming[row - first])
