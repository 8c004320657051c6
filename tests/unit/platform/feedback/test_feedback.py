"""What becomes of feedback: on a model that is trained, and scores for real."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foreshock.alerts.model import Alert
from foreshock.alerts.pipeline import AlertPipeline
from foreshock.alerts.repository import AlertRepository
from foreshock.feedback.service import add_feedback, undo_feedback
from foreshock.feedback.training_data import confirmed_anomalies, exclusions, tolerances
from foreshock.scoring.checkpoint import CheckpointRepository
from foreshock.silences.matchers import parse_matcher
from foreshock.silences.model import Silence
from foreshock.silences.repository import SilenceRepository
from foreshock.store import open_store
from foreshock_models.errors import ConfigError, StateError
from foreshock_models.panel import Panel
from foreshock_models.state import State
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.scoring.alert_policy import alert_policy
from foreshock_pipelines.scoring.rows import score_panel
from foreshock_pipelines.training.exclusions import exclude_rows

HOUR, DAY = 3_600_000, 86_400_000


class Night:
    """Three hours of the small fleet with its incidents, played again and again, a day later each time."""

    def __init__(self, trained: Any, engine: AlertPipeline) -> None:
        self.job = trained.job
        self.engine = engine
        self.registry = Registry(trained.registry)
        self.detector, self.model = self.registry.load(self.job.name)
        self.panel = trained.windows.between(
            trained.windows.end - timedelta(hours=5), trained.windows.end
        ).to_panel()
        self.first = int(self.panel.timestamps.max()) - 3 * HOUR
        self.days = 0

    def play(self) -> dict[str, list[Alert]]:
        """Score it once more, from where scoring stands; the alerts that open, by entity."""
        p, later = self.panel, self.days * DAY
        self.days += 1
        panel = Panel(p.values, p.offsets, p.entities, p.features, p.timestamps + later, p.step)
        known = CheckpointRepository(self.engine.store).get(self.job.name)
        state = State.from_bytes(known.model_state) if known else None
        scored = score_panel(
            self.detector, self.model.version, panel, alert_policy(self.job), since=self.first + later, state=state
        )
        changes = self.engine.apply(self.job, scored, int(panel.timestamps.max()), known.revision if known else 0)
        opened = {c.alert.id for c in changes or [] if c.event in ("opened", "reopened")}
        found: dict[str, list[Alert]] = {}
        for alert in map(
            AlertRepository(self.engine.store).get, sorted(opened)
        ):  # as they are at the end of the pass
            if alert.kind == "anomaly":
                found.setdefault(alert.entity, []).append(alert)
        return found


@pytest.fixture
def night(trained: Any, tmp_path: Path) -> Iterator[Night]:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    yield Night(trained, AlertPipeline(store))
    store.close()


@pytest.fixture
def alarms(night: Night) -> list[Alert]:
    """Alerts of one entity on the first night, all of them."""
    return max(night.play().values(), key=lambda alerts: max(a.peak for a in alerts))


def test_a_false_alarm_no_longer_alerts_when_the_same_pattern_comes_again(
    night: Night, alarms: list[Alert]
) -> None:
    entity = alarms[0].entity
    assert entity in night.play(), "without feedback the pattern alerts again"
    assert [a.version for a in alarms] == [night.model.version] * len(alarms)
    for alert in AlertRepository(night.engine.store).list(entity=entity, kind="anomaly").alerts:
        add_feedback(night.engine.store, night.registry, alert.id, "false", who="anna", now_ms=alert.updated_ms + 1)
    assert entity not in night.play()
    assert entity not in night.play()


def test_feedback_on_one_entity_leaves_the_others_as_they_are(night: Night, alarms: list[Alert]) -> None:
    before = _lines(night)
    for alert in alarms:
        add_feedback(night.engine.store, night.registry, alert.id, "false", who="anna", now_ms=1)
    after = _lines(night)
    changed = {entity for entity in before if not np.array_equal(before[entity], after[entity])}
    assert changed == {alarms[0].entity}


def test_a_false_alarm_that_is_undone_alerts_again(night: Night, alarms: list[Alert]) -> None:
    before = _lines(night)
    for alert in alarms:
        add_feedback(night.engine.store, night.registry, alert.id, "false", who="anna", now_ms=1)
    for alert in alarms:
        undone = undo_feedback(night.engine.store, alert.id, who="ben", now_ms=2)
        assert undone.undone_ms == 2
    for entity, line in _lines(night).items():
        np.testing.assert_allclose(line, before[entity], atol=1e-9)
    assert alarms[0].entity in night.play()
    events = [line["event"] for line in AlertRepository(night.engine.store).history(alarms[0].id)]
    assert [event for event in events if event.startswith("feedback")] == ["feedback false", "feedback undone"]


def test_two_false_alarms_of_one_pattern_raise_the_line_once(night: Night, alarms: list[Alert]) -> None:
    entity = alarms[0].entity
    night.play()
    found = AlertRepository(night.engine.store).list(entity=entity, kind="anomaly").alerts
    now = max(a.updated_ms for a in found) + DAY
    given = [add_feedback(night.engine.store, night.registry, a.id, "false", who="anna", now_ms=now) for a in found]
    assert len(given) >= 2
    highest = max(night.detector.calibrator_.tolerance(a.peak) for a in found)
    assert sum(f.shift or 0.0 for f in given) == pytest.approx(highest)
    assert tolerances(night.engine.store, night.job.name) == {entity: pytest.approx(highest)}


def test_a_live_alert_that_is_called_false_is_resolved(night: Night) -> None:
    alert = _live(night)
    add_feedback(night.engine.store, night.registry, alert.id, "false", who="anna", now_ms=5, note="a backup")
    now = AlertRepository(night.engine.store).get(alert.id)
    assert (now.state, now.resolved_by) == ("resolved", "anna")


def test_a_verdict_holds_until_it_is_undone(night: Night, alarms: list[Alert]) -> None:
    store = night.engine.store
    add_feedback(store, night.registry, alarms[0].id, "true", who="anna", now_ms=1)
    with pytest.raises(StateError, match="called true by anna; undo that first"):
        add_feedback(store, night.registry, alarms[0].id, "false", who="ben", now_ms=2)
    undo_feedback(store, alarms[0].id, who="anna", now_ms=3)
    with pytest.raises(StateError, match="no feedback"):
        undo_feedback(store, alarms[0].id, who="anna", now_ms=4)


def test_a_confirmed_alert_is_a_label_and_its_rows_are_not_learnt_from(night: Night, alarms: list[Alert]) -> None:
    store = night.engine.store
    add_feedback(store, night.registry, alarms[0].id, "true", who="anna", now_ms=1)
    (entity, ((start, end),)) = next(iter(confirmed_anomalies(store, night.job.name).items()))
    assert (entity, start.timestamp() * 1000) == (alarms[0].entity, alarms[0].opened_ms)
    assert end > start
    assert _left_out(night) == {alarms[0].entity}
    undo_feedback(store, alarms[0].id, who="anna", now_ms=2)
    assert confirmed_anomalies(store, night.job.name) == {}
    assert exclusions(store, night.job) == []


def test_excluded_rows_leave_the_training_data(night: Night, alarms: list[Alert]) -> None:
    store = night.engine.store
    with pytest.raises(ConfigError, match=r"14:00\.\.15:30"):
        add_feedback(store, night.registry, alarms[0].id, "exclude", who="anna", now_ms=1)
    interval = (night.first, night.first + 10 * 60_000)
    add_feedback(store, night.registry, alarms[0].id, "exclude", who="anna", now_ms=1, interval=interval)
    panel = exclude_rows(night.panel, exclusions(store, night.job))
    emptied = np.isnan(panel.values).all(axis=1) & ~np.isnan(night.panel.values).all(axis=1)
    times = night.panel.timestamps[emptied]
    assert (times.min(), times.max()) == interval
    assert _left_out(night) == {alarms[0].entity}


def test_rows_of_a_silence_declared_afterwards_leave_the_training_data(night: Night) -> None:
    store = night.engine.store
    entity = night.panel.entities[1]
    SilenceRepository(store).add(
        Silence(
            "s-1", (parse_matcher(f"instance={entity}"),), night.first, night.first + HOUR, "anna", "moved", 0,
            exclude=True,
        )
    )  # fmt: skip
    assert _left_out(night) == {entity}


def _left_out(night: Night) -> set[str]:
    """Entities that lose rows."""
    panel = exclude_rows(night.panel, exclusions(night.engine.store, night.job))
    gone = np.isnan(panel.values).all(axis=1) & ~np.isnan(night.panel.values).all(axis=1)
    return {panel.entities[code] for code in panel.codes[gone]}


def _lines(night: Night) -> dict[str, np.ndarray]:
    """What calibration remembers of each entity."""
    scorer = CheckpointRepository(night.engine.store).get(night.job.name)
    assert scorer is not None
    state = State.from_bytes(scorer.model_state)
    return dict(zip(state.entities, state.arrays["calibration"], strict=True))


def _live(night: Night) -> Alert:
    night.play()
    alert = AlertRepository(night.engine.store).list(kind="anomaly").alerts[0]
    with night.engine.store.begin() as c:  # as if it had not ended yet
        AlertRepository(night.engine.store).save(
            c, replace(alert, state="open", resolved_ms=None), event="reopened", at_ms=0, who="test", why="test"
        )
    return AlertRepository(night.engine.store).get(alert.id)
