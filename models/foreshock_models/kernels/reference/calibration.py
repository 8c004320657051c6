"""Streaming calibration, row by row in plain Python."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from foreshock_models.kernels.reference.recurrence import expected_peak, record_hour

__all__ = ["calibrate", "relative_scores", "relative_to_line", "score_as_trained", "unit_scores"]


def unit_scores(raw: NDArray[np.float64], unit: float) -> NDArray[np.float64]:
    """See `compiled.calibration.unit_scores`."""
    return np.clip(np.nan_to_num(raw, nan=0.0, posinf=np.inf, neginf=-np.inf), -MAX_RAW, MAX_RAW) / unit


def relative_scores(
    x: NDArray[np.float64],
    offsets: NDArray[np.int64],
    slow_mean: NDArray[np.float64],
    training_mean: NDArray[np.float64],
    rate: float,
) -> NDArray[np.float64]:
    """See `compiled.calibration.relative_scores`."""
    out = np.empty(len(x))
    for e, (first, stop) in enumerate(pairwise(offsets)):
        for i in range(first, stop):
            out[i] = x[i] / (slow_mean[e] + MEAN_SHARE * training_mean[e])
            slow_mean[e] = (1 - rate) * slow_mean[e] + rate * x[i]
    return out


def relative_to_line(value: float, line: float) -> float:
    """See `compiled.calibration.relative_to_line`."""
    above = value - line
    if above >= 0:
        return min(value, 1.0 + STEEP * above) if line > 1.0 else max(value, 1.0 + FLAT * above)
    if line < 1.0:
        return max(value, 1.0 + STEEP * above)
    flat = FLAT * min(1.0, (HIGHEST_LINE - WAITING_SCORE) / (line - WAITING_SCORE))
    return min(value, max(1.0 + above, WAITING_SCORE + flat * (value - WAITING_SCORE)))


def score_as_trained(
    raw: NDArray[np.float64],
    deviation: NDArray[np.float64],
    offsets: NDArray[np.int64],
    places: NDArray[np.int64],
    entities: NDArray[Any],
    settings: NDArray[Any],
) -> NDArray[np.float64]:
    """See `compiled.calibration.score_as_trained`."""
    s = settings[0]
    x = unit_scores(raw, s["unit"])
    out = np.empty(len(x))
    for place, (first, stop) in zip(places, pairwise(offsets), strict=True):
        entity = entities[place]
        most = entity["usual_deviation"]
        for i in range(first, stop):
            out[i] = _score(_standardised(x[i], entity, s), entity, s)
            latest = deviation[max(first, i - USUAL_ROWS + 1) : i + 1]
            if len(latest) == USUAL_ROWS and (latest <= most).all():
                out[i] = min(out[i], _limit_of_usual(deviation[i], most))
    return out


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
    """See `compiled.calibration.calibrate`."""
    values, timestamps, offsets = rows
    s = settings[0]
    entities, rings = known[places], known_rings[places]
    x = unit_scores(raw, s["unit"])
    score, warming, regimes = np.empty(len(x)), np.empty(len(x), np.bool_), []
    stops = offsets[1:].copy()
    for e, (first, stop) in enumerate(pairwise(offsets)):
        entity, ring = entities[e], rings[e]
        raised, last_hour = 0.0, None
        for i in range(first, stop):
            hour = int(timestamps[i] // 3_600_000)
            if hour != last_hour and s["recurrence_days"] <= RECURRENCE_WINDOW_DAYS:
                raised, last_hour = expected_peak(ring, hour, s["recurrence_days"]), hour
            z = _standardised(x[i], entity, s)
            value = _score(z, entity, s)
            line = entity["line"] if entity["in_alert"] else max(entity["line"], raised)
            score[i] = relative_to_line(value, line)
            most = entity["usual_deviation"]
            inside = bool(deviation[i] <= most)
            usual = inside and entity["rows_usual"] >= USUAL_ROWS - 1
            if usual:
                score[i] = min(score[i], _limit_of_usual(deviation[i], most))
            present = not np.isnan(values[i]).all()
            if present:
                _follow_gap(entity, timestamps[i], s)
            new = not entity["trained"] and entity["n_rows"] < WARM_UP_ROWS
            warming[i] = new or entity["rows_to_warm"] > 0
            if present:
                vote = bool(score[i] >= 1.0 and not warming[i])
                counted = None if usual or warming[i] else value
                record_hour(ring, hour, value if counted is not None and value >= entity["line"] else 0.0)
                entity["rows_usual"] = entity["rows_usual"] + 1 if inside else 0
                was_open = entity["in_alert"]
                if vote:
                    if not was_open and not entity["votes"][: s["votes_of"] - 1].any():
                        entity["first_vote_ms"] = timestamps[i]
                    entity["last_vote_ms"] = timestamps[i]
                if _learn(entity, x[i], z, counted, vote, deviation[i], s):
                    regimes.append(i)
                if was_open and not entity["in_alert"]:
                    latest = [entity["first_vote_ms"], entity["last_vote_ms"]]
                    entity["replaced_ms"][:] = np.vstack([latest, entity["replaced_ms"][:-1]])
                    if until_alert_ends:
                        stops[e] = i + 1
                        break
    return score, warming, np.array(regimes, np.int64), entities, rings, stops


def _standardised(x: float, entity: Any, s: Any) -> float:
    mean = entity["slow_mean"] + MEAN_SHARE * entity["training_mean"] if s["slow_rate"] > 0 else 1.0
    return float((x / mean - entity["location"]) / entity["spread"])


def _score(z: float, entity: Any, s: Any) -> float:
    """Score of a standardised raw score on the scale of training: ``log p / log p*``."""
    threshold = max(s["tail_threshold"] + entity["threshold_shift"], 0.1)
    if z <= threshold:
        log_p = math.log(s["tail_rate"]) * z / threshold
    elif s["tail_shape"] > 1e-6:
        excess = (z - threshold) / s["tail_scale"]
        log_p = math.log(s["tail_rate"]) - math.log1p(s["tail_shape"] * excess) / s["tail_shape"]
    else:
        log_p = math.log(s["tail_rate"]) - (z - threshold) / s["tail_scale"]
    return float(log_p / s["log_budget"])


def _follow_gap(entity: Any, now_ms: float, s: Any) -> None:
    """Begin to warm up after a gap; count the rows since."""
    known, away = entity["last_sample_ms"] > 0, now_ms - entity["last_sample_ms"]
    gap = known and away > (GAP_ROWS + 1) * s["step_ms"]
    entity["rows_to_warm"] = QUIET_ROWS if gap else max(entity["rows_to_warm"] - 1, 0)
    entity["last_sample_ms"] = now_ms


def _limit_of_usual(deviation: float, most: float) -> float:
    """Highest score of a row with usual values."""
    return 0.5 * WAITING_SCORE * (1 + (deviation / most if most > 0 else 0.0))


def _learn(entity: Any, x: float, z: float, value: float | None, vote: bool, deviation: float, s: Any) -> bool:
    """Learn from one row, whose `value` is None if its values are usual; true if it became the new normal."""
    here = x
    if s["slow_rate"] > 0:
        here = x / (entity["slow_mean"] + MEAN_SHARE * entity["training_mean"])
    entity["slow_mean"] += s["slow_rate"] * (x - entity["slow_mean"])
    _move_line(entity, value, vote, s)
    rate = max(4 * s["regime_rate"], 1 / (1 + entity["n_rows"]))
    entity["alert_share"] += s["regime_rate"] * (vote - entity["alert_share"])
    entity["recent_location"] += rate * (here - entity["recent_location"])
    entity["recent_spread"] += rate * (abs(here - entity["recent_location"]) - entity["recent_spread"])
    accepted = vote and entity["alert_share"] > REGIME_SHARE
    if accepted:
        entity["location"] = entity["recent_location"]
        entity["spread"] = max(entity["spread"], 2 * entity["recent_spread"])
        entity["alert_share"] = 0
    elif not vote and entity["n_rows"] < s["young_rows"]:
        step = 1 / (10 + entity["n_rows"])
        entity["location"] += step * entity["spread"] * np.clip(4 * z, -1, 1)
        entity["spread"] *= math.exp(step * SPREAD_RATE * ((z > 1) - UPPER_SHARE))
        entity["spread"] = max(entity["spread"], s["spread_floor"])
        if not np.isnan(deviation):
            change = math.exp(step * SPREAD_RATE * ((deviation > entity["usual_deviation"]) - UPPER_SHARE))
            entity["usual_deviation"] = max(entity["usual_deviation"], SMALLEST_DEVIATION) * change
    entity["n_rows"] += 1
    return bool(accepted)


def _move_line(entity: Any, value: float | None, vote: bool, s: Any) -> None:
    """Open, follow or end the alert, and move the line."""
    line, gain, of = entity["line"], s["gain"], s["votes_of"]
    width = max(2 * abs(1 - line), NEAR_LINE)
    height = 0.0 if value is None else value + (1 - line) * max(0.0, 1 - abs(value - line) / width)
    entity["votes"][:of] = [vote, *entity["votes"][: of - 1]]
    entity["rows_below"] = 0 if vote else entity["rows_below"] + 1
    if not entity["in_alert"]:
        if entity["votes"][:of].sum() >= s["votes_needed"]:
            entity["in_alert"], entity["peak"] = 1, max(height, 1.0)
            entity["line"] += gain * entity["peak"] ** -PEAK_DECAY
    elif height > entity["peak"]:
        entity["line"] += gain * (height**-PEAK_DECAY - entity["peak"] ** -PEAK_DECAY)
        entity["peak"] = height
    if entity["rows_below"] >= QUIET_ROWS:
        entity["in_alert"] = 0
    moved = entity["line"] - gain * math.exp(s["log_budget"])
    entity["line"] = min(max(moved, LOWEST_LINE), HIGHEST_LINE)
