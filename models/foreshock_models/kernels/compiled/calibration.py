"""Streaming calibration: raw scores to calibrated ones, row by row, each with what was known before it.

Five state machines run for each entity, one function each; all work on one record of `layout.CALIBRATION`:

- `_has_usual_values`: whether values are within their usual band: no such row is over the line;
- `_learn_location`: location and spread of the raw score, while the entity is young;
- `_move_line`: the alert, and the integral controller that keeps the rate of alerts at the budget;
- `_accept_regime`: the share of rows over the line, and the new normal that most of some days makes;
- `recurrence`: what recurs daily raises the line at its time of day.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from foreshock_models.kernels.compiled.recurrence import expected_peak, record_hour
from foreshock_models.kernels.constants import (
    FLAT,
    GAP_ROWS,
    HIGHEST_LINE,
    LOWEST_LINE,
    MAX_RAW,
    MEAN_SHARE,
    NEAR_LINE,
    PEAK_DECAY,
    QUIET_ROWS,
    RECURRENCE_WINDOW_DAYS,
    REGIME_SHARE,
    SMALLEST_DEVIATION,
    SPREAD_RATE,
    STEEP,
    UPPER_SHARE,
    USUAL_ROWS,
    WAITING_SCORE,
    WARM_UP_ROWS,
)
from foreshock_models.kernels.layout import N_REPLACED

__all__ = ["calibrate", "relative_scores", "relative_to_line", "score_as_trained", "unit_scores"]

Record = Any
"""A record of `layout.CALIBRATION` or `layout.CALIBRATION_SETTINGS`."""

HOUR_MS = 3_600_000


@njit(cache=True, nogil=True)
def unit_scores(raw: NDArray[np.float64], unit: float) -> NDArray[np.float64]:
    """Finite raw scores ``(n_rows,)`` in units of `unit`."""
    out = np.empty(len(raw))
    for i in range(len(raw)):
        x = raw[i]
        out[i] = min(max(x, -MAX_RAW), MAX_RAW) / unit if x == x else 0.0
    return out


@njit(cache=True, nogil=True)
def relative_scores(
    x: NDArray[np.float64],
    offsets: NDArray[np.int64],
    slow_mean: NDArray[np.float64],
    training_mean: NDArray[np.float64],
    rate: float,
) -> NDArray[np.float64]:
    """Raw scores as multiples of their own slow mean ``(n_rows,)``; `slow_mean` ``(n_entities,)`` is updated."""
    out = np.empty(len(x))
    for e in range(len(offsets) - 1):
        for i in range(offsets[e], offsets[e + 1]):
            out[i] = x[i] / (slow_mean[e] + MEAN_SHARE * training_mean[e])
            slow_mean[e] += rate * (x[i] - slow_mean[e])
    return out


@njit(cache=True, nogil=True)
def _log_tail_rate(z: float, threshold: float, log_rate: float, settings: Record) -> float:
    """Log of the rate per row at which events lie above `z`, with the threshold of the tail at `threshold`."""
    excess = z - threshold
    if excess <= 0:
        # below the threshold: linear from 0 at the location to the score of the threshold
        return log_rate * (z / threshold if threshold > 0 else 1.0)
    if settings.tail_shape > 1e-6:
        return log_rate - np.log1p(settings.tail_shape * excess / settings.tail_scale) / settings.tail_shape
    return log_rate - excess / settings.tail_scale


@njit(cache=True, nogil=True)
def _score_of(z: float, entity: Record, log_rate: float, settings: Record) -> float:
    """Score of a standardised raw score on the scale of training."""
    threshold = max(settings.tail_threshold + entity.threshold_shift, 0.1)
    return _log_tail_rate(z, threshold, log_rate, settings) / settings.log_budget


@njit(cache=True, nogil=True)
def relative_to_line(value: float, line: float) -> float:
    """Score of `value`, which is on the scale of training, where the line is at `line`.

    It is 1 at the line. Elsewhere it is what training says as soon as that is on the same side of 1, so that scores
    that are far apart in time stay comparable.
    """
    if value >= line:
        if line > 1.0:
            return min(value, 1.0 + STEEP * (value - line))
        return max(value, 1.0 + FLAT * (value - line))
    if line < 1.0:
        return max(value, 1.0 - STEEP * (line - value))
    # a line that a recurrence raised may be very high: what is below it stays equally far below 1
    flat = FLAT * min(1.0, (HIGHEST_LINE - WAITING_SCORE) / (line - WAITING_SCORE))
    return min(value, max(1.0 - (line - value), WAITING_SCORE + flat * (value - WAITING_SCORE)))


@njit(cache=True, nogil=True)
def _follow_gap(entity: Record, now_ms: float, settings: Record) -> None:
    """Begin to warm up after a gap; count the rows since."""
    away = now_ms - entity.last_sample_ms
    if entity.last_sample_ms > 0.0 and away > (GAP_ROWS + 1) * settings.step_ms:
        entity.rows_to_warm = QUIET_ROWS
    elif entity.rows_to_warm > 0.0:
        entity.rows_to_warm -= 1.0
    entity.last_sample_ms = now_ms


@njit(cache=True, nogil=True)
def _is_warming(entity: Record) -> bool:
    """True while a new entity has no calibration of its own yet, and just after a gap."""
    return entity.rows_to_warm > 0.0 or (entity.trained == 0.0 and entity.n_rows < WARM_UP_ROWS)


@njit(cache=True, nogil=True)
def _has_usual_values(entity: Record, deviation: float) -> bool:
    """True if the values of this row, and of the rows just before it, are usual; not where nothing is known."""
    return deviation <= entity.usual_deviation and entity.rows_usual + 1.0 >= USUAL_ROWS


@njit(cache=True, nogil=True)
def _limit_of_usual(deviation: float, most: float) -> float:
    """Highest score of a row with usual values, which deviate by `most` at most: the lower, the less they do."""
    return 0.5 * WAITING_SCORE * (1.0 + (deviation / most if most > 0.0 else 0.0))


@njit(cache=True, nogil=True)
def _follow_alert(entity: Record, vote: float, now_ms: float, settings: Record) -> None:
    """Note the first and the last row over the line of what is pending or open."""
    if vote == 0.0:
        return
    pending = entity.in_alert
    for k in range(settings.votes_of - 1):
        pending += entity.votes[k]
    if pending == 0.0:
        entity.first_vote_ms = now_ms
    entity.last_vote_ms = now_ms


@njit(cache=True, nogil=True)
def _end_alert(entity: Record) -> None:
    """Remember the rows of the alert that ended: later rows are not to be judged by them."""
    for k in range(N_REPLACED - 1, 0, -1):
        entity.replaced_ms[k, 0] = entity.replaced_ms[k - 1, 0]
        entity.replaced_ms[k, 1] = entity.replaced_ms[k - 1, 1]
    entity.replaced_ms[0, 0] = entity.first_vote_ms
    entity.replaced_ms[0, 1] = entity.last_vote_ms


@njit(cache=True, nogil=True)
def _alert_height(value: float, line: float) -> float:
    """Height of `value`, for what an alert costs: from the line near it, on the scale of training far from it."""
    width = max(2.0 * abs(1.0 - line), NEAR_LINE)
    return value + (1.0 - line) * max(0.0, 1.0 - abs(value - line) / width)


@njit(cache=True, nogil=True)
def _move_line(entity: Record, vote: float, height: float, budget: float, settings: Record) -> None:
    """Count the vote of a row; open, follow or end the alert; move the line.

    An alert moves the line up, less the higher its peak. Each row moves it down by what the budget allows.
    """
    count = vote
    for k in range(settings.votes_of - 1, 0, -1):
        entity.votes[k] = entity.votes[k - 1]
        count += entity.votes[k]
    entity.votes[0] = vote
    entity.rows_below = 0.0 if vote == 1.0 else entity.rows_below + 1.0
    if entity.in_alert == 0.0 and count >= settings.votes_needed:
        entity.in_alert = 1.0
        entity.peak = max(height, 1.0)
        entity.line += settings.gain * entity.peak**-PEAK_DECAY
    elif entity.in_alert == 1.0 and height > entity.peak:
        entity.line += settings.gain * (height**-PEAK_DECAY - entity.peak**-PEAK_DECAY)
        entity.peak = height
    if entity.rows_below >= QUIET_ROWS:
        entity.in_alert = 0.0
    entity.line = min(max(entity.line - settings.gain * budget, LOWEST_LINE), HIGHEST_LINE)


@njit(cache=True, nogil=True)
def _accept_regime(entity: Record, vote: float, x: float, settings: Record) -> bool:
    """Follow the raw score over some hours; true if it becomes the new normal with this row."""
    rate = max(4.0 * settings.regime_rate, 1.0 / (1.0 + entity.n_rows))
    entity.alert_share += settings.regime_rate * (vote - entity.alert_share)
    entity.recent_location += rate * (x - entity.recent_location)
    entity.recent_spread += rate * (abs(x - entity.recent_location) - entity.recent_spread)
    if vote == 0.0 or entity.alert_share <= REGIME_SHARE:
        return False
    entity.location = entity.recent_location
    entity.spread = max(entity.spread, 2.0 * entity.recent_spread)
    entity.alert_share = 0.0
    return True


@njit(cache=True, nogil=True)
def _learn_location(entity: Record, z: float, deviation: float, settings: Record) -> None:
    """Let location, spread and usual deviation of a young entity follow a row that did not alert, ever more slowly.

    Later they stay: a score that followed the level of the raw scores would call a lasting anomaly ever more
    normal.
    """
    step = 1.0 / (10.0 + entity.n_rows)
    entity.location += step * entity.spread * min(max(4.0 * z, -1.0), 1.0)
    entity.spread *= np.exp(step * ((SPREAD_RATE if z > 1.0 else 0.0) - SPREAD_RATE * UPPER_SHARE))
    entity.spread = max(entity.spread, settings.spread_floor)
    if deviation == deviation:
        above = SPREAD_RATE if deviation > entity.usual_deviation else 0.0
        usual = max(entity.usual_deviation, SMALLEST_DEVIATION)
        entity.usual_deviation = usual * np.exp(step * (above - SPREAD_RATE * UPPER_SHARE))


@njit(cache=True, nogil=True)
def score_as_trained(
    raw: NDArray[np.float64],
    deviation: NDArray[np.float64],
    offsets: NDArray[np.int64],
    places: NDArray[np.int64],
    entities: NDArray[Any],
    settings: NDArray[Any],
) -> NDArray[np.float64]:
    """Score every row with the records as they are, learning nothing: ``(n_rows,)``.

    Parameters
    ----------
    raw, deviation
        As in `calibrate`.
    places
        ``(n_entities,)``: index of each entity in `entities`.
    entities, settings
        Records of `layout.CALIBRATION`; one record of `layout.CALIBRATION_SETTINGS` ``(1,)``.
    """
    shared = settings[0]
    x = unit_scores(raw, shared.unit)
    log_rate = np.log(shared.tail_rate)
    score = np.empty(len(x))
    for e in range(len(offsets) - 1):
        entity = entities[places[e]]
        mean = entity.slow_mean + MEAN_SHARE * entity.training_mean if shared.slow_rate > 0 else 1.0
        rows_usual = 0.0
        for i in range(offsets[e], offsets[e + 1]):
            z = (x[i] / mean - entity.location) / entity.spread
            score[i] = _score_of(z, entity, log_rate, shared)
            rows_usual = rows_usual + 1.0 if deviation[i] <= entity.usual_deviation else 0.0
            if rows_usual >= USUAL_ROWS:
                score[i] = min(score[i], _limit_of_usual(deviation[i], entity.usual_deviation))
    return score


@njit(cache=True, nogil=True)
def calibrate(
    raw: NDArray[np.float64],
    deviation: NDArray[np.float64],
    rows: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]],
    places: NDArray[np.int64],
    known: NDArray[Any],
    known_rings: NDArray[np.float32],
    settings: NDArray[Any],
    until_alert_ends: bool,
) -> tuple[
    NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64], NDArray[Any], NDArray[np.float32], NDArray[np.int64]
]:
    """Score every row with the state before it, then learn from the row.

    Nothing is learnt from a row without a sample: the sample may come later, and is then scored as if it had
    come in time.

    Parameters
    ----------
    raw
        ``(n_rows,)`` raw scores.
    deviation
        ``(n_rows,)``: how far the values are outside of their usual band, 0 within it; NaN where that is unknown.
    rows
        Values ``(n_rows, n_features)``, timestamps ``(n_rows,)`` and offsets ``(n_entities + 1,)``.
    places
        ``(n_entities,)``: index of each entity in `known` and `known_rings`.
    known, known_rings
        Records of `layout.CALIBRATION`, and rings ``(n_known, RING_WIDTH)`` of `recurrence`, before the first row;
        they stay unchanged.
    settings
        One record of `layout.CALIBRATION_SETTINGS` ``(1,)``.
    until_alert_ends
        Stop each entity at the row at which its alert ends: its rows after it may have another raw score then.

    Returns
    -------
    score ``(n_rows,)``, warming ``(n_rows,)``: rows of entities without calibration of their own yet, the
    numbers of the rows at which a new normal was accepted, the records and rings of the entities after the last
    row, and the number of the row after it ``(n_entities,)``.
    """
    values, timestamps, offsets = rows
    shared = settings[0]
    entities, rings = known[places], known_rings[places]
    x = unit_scores(raw, shared.unit)
    score = np.empty(len(x))
    warming = np.empty(len(x), np.bool_)
    regimes = np.empty(len(x), np.int64)
    n_regimes = 0
    log_rate = np.log(shared.tail_rate)
    budget = np.exp(shared.log_budget)
    stops = offsets[1:].copy()
    for e in range(len(offsets) - 1):
        entity, ring = entities[e], rings[e]
        last_hour, raised = np.int64(-1), 0.0
        for i in range(offsets[e], offsets[e + 1]):
            present = False
            for j in range(values.shape[1]):
                present |= values[i, j] == values[i, j]
            if present:
                _follow_gap(entity, float(timestamps[i]), shared)
            warming[i] = _is_warming(entity)
            hour = timestamps[i] // HOUR_MS  # since the epoch
            here = x[i]
            if shared.slow_rate > 0:
                here = x[i] / (entity.slow_mean + MEAN_SHARE * entity.training_mean)
            z = (here - entity.location) / entity.spread
            value = _score_of(z, entity, log_rate, shared)
            if shared.recurrence_days <= RECURRENCE_WINDOW_DAYS and hour != last_hour:
                last_hour = hour
                raised = expected_peak(ring, hour, shared.recurrence_days)
            # what exceeds the recurring peak is an alert, and is measured by the line until it ends
            score[i] = relative_to_line(value, entity.line if entity.in_alert == 1.0 else max(entity.line, raised))
            usual = _has_usual_values(entity, deviation[i])
            if usual:
                score[i] = min(score[i], _limit_of_usual(deviation[i], entity.usual_deviation))
            if not present:
                continue
            record_hour(ring, hour, value if value >= entity.line and not usual and not warming[i] else 0.0)
            entity.slow_mean += shared.slow_rate * (x[i] - entity.slow_mean)
            vote = 1.0 if score[i] >= 1.0 and not warming[i] else 0.0
            entity.rows_usual = entity.rows_usual + 1.0 if deviation[i] <= entity.usual_deviation else 0.0
            before = entity.in_alert
            _follow_alert(entity, vote, float(timestamps[i]), shared)
            _move_line(
                entity, vote, 0.0 if usual or warming[i] else _alert_height(value, entity.line), budget, shared
            )
            if _accept_regime(entity, vote, here, shared):
                regimes[n_regimes] = i
                n_regimes += 1
            elif vote == 0.0 and entity.n_rows < shared.young_rows:
                _learn_location(entity, z, deviation[i], shared)
            entity.n_rows += 1.0
            if before == 1.0 and entity.in_alert == 0.0:
                _end_alert(entity)
                if until_alert_ends:
                    stops[e] = i + 1
                    break
    return score, warming, regimes[:n_regimes].copy(), entities, rings, stops
