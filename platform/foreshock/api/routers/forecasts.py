"""``/ai/predictions`` and ``/ai/exhaustion``: what is to come, and what runs out first."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Protocol

import numpy as np
from fastapi import FastAPI, Query
from prometheus_client.core import GaugeMetricFamily

from foreshock.api.authorization import allow, require
from foreshock.api.errors import Problem
from foreshock.clock import iso
from foreshock.forecasts.repository import ForecastRepository, SeriesForecast
from foreshock.identity.model import Principal
from foreshock.store import Store
from foreshock_models.errors import allowed
from foreshock_pipelines.jobfile import Job, format_duration, parse_duration

__all__ = ["Backend", "add_predictions", "exhaustion", "forecast_metrics", "prediction", "predictions"]

GAUGES = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
"""Horizons that ``/metrics`` shows."""
NAME: dict[str, Any] = {"max_length": 512, "pattern": r"^[^\x00]*$"}
Entity = Annotated[str | None, Query(**NAME, description="only this entity")]
Feature = Annotated[str | None, Query(**NAME, description="only this feature")]
JobName = Annotated[str, Query(pattern=r"^[a-z][a-z0-9_-]{0,62}$", description="name of the job")]
PER_PAGE = Query(ge=1, le=1000, description="at most so many series")


class Backend(Protocol):
    """The dependencies of the routes: the store, and the jobs that are known."""

    store: Store
    jobs: Mapping[str, Job]


def add_predictions(app: FastAPI, backend: Callable[[], Backend]) -> None:
    """Add the routes."""

    @app.get("/ai/predictions", tags=["forecasts"])
    def get_predictions(
        caller: Annotated[Principal, allow("forecasts:read")],
        job: JobName,
        entity: Entity = None,
        feature: Feature = None,
        horizon: Annotated[str | None, Query(max_length=32, description="as in 6h; default all of it")] = None,
        after: Annotated[str | None, Query(max_length=600, description="`next` of the page before")] = None,
        limit: Annotated[int, PER_PAGE] = 100,
    ) -> dict[str, Any]:
        """The latest forecast of each series, with its interval, its method and its backtest error."""
        require(caller, "forecasts:read", job)
        here = backend()
        return predictions(here.store, here.jobs, job, entity, feature, horizon, after=after, limit=limit)

    @app.get("/ai/exhaustion", tags=["forecasts"])
    def get_exhaustion(
        caller: Annotated[Principal, allow("forecasts:read")],
        job: JobName,
        entity: Entity = None,
        feature: Feature = None,
    ) -> dict[str, Any]:
        """List what runs out first: for each feature with `exhaustion` in the job file."""
        require(caller, "forecasts:read", job)
        here = backend()
        return exhaustion(here.store, here.jobs, job, entity, feature)


def predictions(
    store: Store,
    jobs: Mapping[str, Job],
    job: str,
    entity: str | None = None,
    feature: str | None = None,
    horizon: str | None = None,
    *,
    after: str | None = None,
    limit: int = 100,
) -> dict[str, Any]:
    """The latest forecasts as JSON values.

    Raises
    ------
    Problem
        404: no such job, entity or feature, or nothing is forecast yet. 422: a horizon that is not a duration,
        or is longer than the forecast.
    """
    ahead = _duration(horizon)
    cursor = None
    if after is not None:
        first, separator, second = after.rpartition("/")
        if not separator:
            raise Problem(422, "after: give `next` of the page before as it was")
        cursor = (first, second)
    found = ForecastRepository(store).find(job, entity=entity, feature=feature, after=cursor, limit=limit + 1)
    if not found and cursor is None:
        raise Problem(404, _nothing(store, jobs, job, entity, feature))
    page, more = found[:limit], len(found) > limit
    longest = max((one.horizon for one in page), default=timedelta(0))
    if ahead is not None and longest and ahead > longest:
        raise Problem(
            422,
            f"horizon: {format_duration(ahead)} is farther than the forecast of {job!r} looks; at most "
            f"{format_duration(longest)}: raise forecast.horizon in the job file",
        )
    return {
        "job": job,
        "predictions": [prediction(one, ahead) for one in page],
        "next": f"{page[-1].entity}/{page[-1].feature}" if more else None,
    }


def exhaustion(
    store: Store, jobs: Mapping[str, Job], job: str, entity: str | None = None, feature: str | None = None
) -> dict[str, Any]:
    """Exhaustion forecasts as JSON values, soonest first; times count from now."""
    found = ForecastRepository(store).find(job, entity=entity, feature=feature, exhaustible=True)
    if not found and not ForecastRepository(store).find(job, entity=entity, feature=feature, limit=1):
        raise Problem(404, _nothing(store, jobs, job, entity, feature))
    now_ms = round(time.time() * 1000)
    found.sort(key=lambda one: (_order(one, "seconds"), _order(one, "lower"), one.entity))
    return {"job": job, "exhaustion": [_exhaustion(one, now_ms) for one in found]}


def forecast_metrics(store: Store, now_ms: int) -> list[GaugeMetricFamily]:
    """The latest forecasts as gauges: the value in an hour, six and a day, and the time to exhaustion from now."""
    names = {
        "foreshock_forecast": "Forecast of a feature.",
        "foreshock_forecast_lower": "Lower end of its interval.",
        "foreshock_forecast_upper": "Upper end of it.",
    }
    labels = ["job", "entity", "feature"]
    values = [GaugeMetricFamily(name, text, labels=[*labels, "horizon"]) for name, text in names.items()]
    left = [
        GaugeMetricFamily(name, text, labels=labels)
        for name, text in {
            "foreshock_seconds_to_exhaustion": "Until a feature reaches the limit of the job file (median).",
            "foreshock_seconds_to_exhaustion_lower": "Lower end of the interval.",
            "foreshock_seconds_to_exhaustion_upper": "Upper end of the interval.",
        }.items()
    ]
    likely = GaugeMetricFamily(
        "foreshock_exhaustion_probability", "Of reaching the limit within the time of the job file.", labels=labels
    )
    for one in ForecastRepository(store).find():
        key = [one.job, one.entity, one.feature]
        for horizon in GAUGES:
            row = one.at(now_ms + round(horizon.total_seconds() * 1000))
            if row is not None:
                for family, value in zip(values, row.tolist(), strict=True):
                    family.add_metric([*key, format_duration(horizon)], value)
        if one.exhaustion is not None:
            for family, end in zip(left, ("seconds", "lower", "upper"), strict=True):
                family.add_metric(key, _left(one, end, now_ms))
            likely.add_metric(key, one.exhaustion["probability"])
    return [*values, *left, likely]


def prediction(one: SeriesForecast, ahead: timedelta | None = None) -> dict[str, Any]:
    """One forecast as JSON values, up to a horizon."""
    n = len(one.rows) if ahead is None else max(1, math.ceil(ahead.total_seconds() / one.step)) if one.step else 0
    rows = np.round(one.rows[:n], 9)
    return {
        "entity": one.entity,
        "feature": one.feature,
        "made": iso(one.made_ms),
        "method": one.method or None,
        "backtest": {"wape": _number(one.wape), "seasonal_naive_wape": _number(one.baseline_wape)},
        "level": one.level or None,
        "step_seconds": one.step or None,
        "timestamps": [iso(ms) for ms in one.times[:n].tolist()],
        "point": rows[:, 0].tolist(),
        "lower": rows[:, 1].tolist(),
        "upper": rows[:, 2].tolist(),
        "exhaustion": _exhaustion(one, round(time.time() * 1000)) if one.exhaustion else None,
        "skipped": one.skipped,
    }


def _exhaustion(one: SeriesForecast, now_ms: int) -> dict[str, Any]:
    found = one.exhaustion or {}
    times = {end: one.exhausted_ms(end) for end in ("seconds", "lower", "upper")}
    ends = {end: None if ms is None or math.isinf(ms) else ms for end, ms in times.items()}
    return {
        "entity": one.entity,
        "feature": one.feature,
        "limit": found["limit"],
        "direction": found["direction"],
        "level": found["level"],
        "at": {end: None if ms is None else iso(round(ms)) for end, ms in ends.items()},
        "seconds_left": {end: None if ms is None else max(0.0, (ms - now_ms) / 1000) for end, ms in ends.items()},
        "probability": round(found["probability"], 4),
        "within_seconds": found["within"],
        "looked_seconds": found["horizon"],
        "made": iso(one.made_ms),
    }


def _left(one: SeriesForecast, end: str, now_ms: int) -> float:
    ms = one.exhausted_ms(end)
    return math.inf if ms is None else max(0.0, (ms - now_ms) / 1000)


def _order(one: SeriesForecast, end: str) -> float:
    ms = one.exhausted_ms(end)
    return math.inf if ms is None else ms


def _duration(horizon: str | None) -> timedelta | None:
    if horizon is None:
        return None
    try:
        ahead = parse_duration(horizon)
    except ValueError as exc:
        raise Problem(422, f"horizon: {exc}") from exc
    if ahead <= timedelta(0):
        raise Problem(422, f"horizon: must be longer than 0; got {horizon}")
    return ahead


def _nothing(store: Store, jobs: Mapping[str, Job], job: str, entity: str | None, feature: str | None) -> str:
    stored = ForecastRepository(store)
    known = stored.entities(job)
    if not known:
        if job not in jobs:
            return f"no job {job!r} here; {allowed(job, jobs)}"
        return f"no forecast of {job!r} yet: set schedule.forecast in the job file, or run foreshock forecast"
    if entity is not None and entity not in known:
        return f"no forecast of the entity {entity!r}; {allowed(entity, known)}"
    features = {one.feature for one in stored.find(job, entity=known[0])}
    return f"no forecast of the feature {feature!r}; {allowed(str(feature), features)}"


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
