"""Incidents in training rows are found, told, and not learnt from."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from foreshock_models.alert_levels import alert_levels
from foreshock_models.calibration.budget import Budget
from foreshock_models.detectors import Detector, IForest
from foreshock_models.distrust import describe, distrusted, without
from foreshock_models.panel import Panel
from foreshock_models.policy import EntityState, Policy
from foreshock_pipelines.datasets.demo import Incident, demo_fleet

HOUR = 3_600_000


@cache
def fleet() -> tuple[Panel, list[Incident], int]:
    windows, incidents = demo_fleet(hosts=20, days=7, step=120, incidents=12)
    panel = windows.to_panel()
    return panel, incidents, int(panel.timestamps.max()) - 6 * HOUR


def changed(panel: Panel, values: np.ndarray) -> Panel:
    return Panel(values, panel.offsets, panel.entities, panel.features, panel.timestamps, panel.step)


def one_host(panel: Panel, until: int) -> Panel:
    """One host at its limits in the newest three hours of training."""
    values = panel.values.copy()
    rows = dict(panel)["host-03"]
    times = panel.timestamps[rows]
    values[rows][(times < until) & (times >= until - 3 * HOUR), :3] = [0.97, 0.98, 0.95]
    return changed(panel, values)


def five_percent(panel: Panel, until: int) -> Panel:
    """Incidents of all kinds in a twentieth of all training rows."""
    rng, values = np.random.default_rng(0), panel.values.copy()
    for _, rows in panel:
        n = int((panel.timestamps[rows] < until).sum())
        for first in rng.integers(0, n - 20, int(0.05 * n / 20)):
            part = values[rows.start + first : rows.start + first + 20]
            feature = rng.integers(0, 6)
            part[:, feature] = (part + np.array([0.45, 0.4, 0.6, 2e7, 0.06, 12]))[:, feature]
    return changed(panel, values)


def found_by(detector: Detector) -> tuple[int, int]:
    """Incidents found, and false alerts, on the rows after training, which nobody disturbed."""
    panel, incidents, until = fleet()
    scores = detector.score(panel, since=until)
    state = Policy().apply(scores.panel, scores.score, np.ones(len(scores.score), np.bool_)).entity_state
    opened = np.flatnonzero(state == EntityState.OPENED)
    at = [(scores.panel.entities[scores.panel.codes[i]], scores.panel.timestamps[i] / 1000) for i in opened]

    def hits(entity: str, time: float, incident: Incident) -> bool:
        return incident.entity == entity and incident.start.timestamp() <= time <= incident.end.timestamp() + 600

    found = sum(any(hits(*each, incident) for each in at) for incident in incidents)
    return found, sum(not any(hits(*each, incident) for incident in incidents) for each in at)


@cache
def trained(how: str) -> Detector:
    panel, _, until = fleet()
    disturbed = {"clean": lambda *_: panel, "one host": one_host, "5%": five_percent}[how](panel, until)
    learnt = disturbed.take(disturbed.timestamps < until)
    return IForest(n_trees=20).fit(learnt, budget=Budget.parse("1 per week"))


@pytest.mark.parametrize("how", ["one host", "5%"])
def test_incidents_in_training_take_at_most_a_tenth_of_what_is_found(how: str) -> None:
    clean, _ = found_by(trained("clean"))
    found, _ = found_by(trained(how))
    assert clean >= 10
    assert found >= 0.9 * clean


def test_the_values_that_alert_are_about_those_of_clean_training() -> None:
    how = "one host"
    panel, _, until = fleet()
    rows = panel.take(panel.timestamps < until)
    levels = [alert_levels(trained(each), rows, "host-05", Policy())[0] for each in ("clean", how)]
    assert levels[0].feature == "cpu"
    assert all(level.value is not None and level.value > level.usual for level in levels)
    away = [level.value - level.usual for level in levels if level.value is not None]
    assert away[1] < 1.5 * away[0]
    assert str(levels[0]).startswith("cpu alerts from about 0.")


def test_the_disturbed_stretch_is_named_with_its_feature_and_its_values() -> None:
    panel, _, until = fleet()
    found = [each for each in distrusted(one_host(panel, until)) if each.entity == "host-03"]
    (longest,) = [each for each in found if each.rows > 60]
    assert longest.first >= until - 3 * HOUR
    assert longest.last < until
    assert longest.feature in ("cpu", "memory", "disk_io")
    (line,) = describe([longest])
    assert line.startswith("not learnt from: host-03 2026-03-02 09:00 to 11:58 UTC, ")


def test_what_comes_daily_or_fills_a_tenth_of_the_rows_is_normal() -> None:
    rng = np.random.default_rng(0)
    day = 288
    values = rng.normal(10, 1, (8 * day, 2))
    for first in range(0, 8 * day, day):  # a batch job, never at the same hour
        at = first + int(rng.integers(0, day - 20))
        values[at : at + 10, 0] += 30
    values[: int(1.2 * day), 1] += 30
    assert distrusted(Panel.of(values, step=300)) == []


def test_bursts_that_come_again_and_again_are_normal_and_a_few_of_them_are_not() -> None:
    day = 1440
    firsts = [200, 700, day + 300, day + 900, 2 * day + 100, 3 * day + 500, 4 * day + 1000]

    def bursting(times: list[int]) -> Panel:
        values = np.random.default_rng(0).normal(10, 1, (5 * day, 2))
        for first in times:
            values[first : first + 12, 0] += 30
        return Panel.of(values)

    assert distrusted(bursting(firsts)) == []
    assert len(distrusted(bursting(firsts[:3]))) == 3
    assert len(distrusted(bursting([day + 12 * k for k in range(0, 40, 4)]))) == 10  # one incident that flickers


def test_a_gap_takes_the_place_of_what_is_distrusted() -> None:
    values = np.random.default_rng(0).normal(10, 1, (500, 1))
    values[300:330] = 40
    panel = Panel.of(values)
    left = without(panel, distrusted(panel))
    assert np.flatnonzero(np.isnan(left.values[:, 0])).tolist() == list(range(300, 330))
    assert panel.values[300, 0] == 40


def test_the_scores_of_training_rows_tell_the_incident_that_was_not_learnt_from() -> None:
    values = np.random.default_rng(0).normal(10, 1, (600, 2))
    values[300:330] += 30
    detector = IForest(n_trees=20).fit(values)
    assert detector.decision_scores_[310:330].min() > np.quantile(detector.decision_scores_, 0.9)
