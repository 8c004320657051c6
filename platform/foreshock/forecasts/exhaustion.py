"""Alerts on what will run out: open while the probability of that passes the line of the job file."""

from __future__ import annotations

from collections.abc import Sequence

from foreshock.alerts.findings import Finding
from foreshock.alerts.pipeline import AlertPipeline, Change
from foreshock.alerts.repository import AlertRepository
from foreshock.forecasts.repository import SeriesForecast
from foreshock_models.forecasters import TimeToExhaustion
from foreshock_pipelines.jobfile import Job, format_duration

__all__ = ["KIND", "predicted", "update_exhaustion_alerts"]

KIND = "predicted"
SOON = 0.25
"""Critical: the median lies within this share of the time that the job file looks ahead."""


def update_exhaustion_alerts(
    engine: AlertPipeline, job: Job, forecasts: Sequence[SeriesForecast], now_ms: int, *, partial: bool = False
) -> list[Change]:
    """Open, update and resolve the predicted alerts of a job, in one transaction with what is to be sent.

    A series that could not be forecast this time, for its samples are late or few, keeps its alert as it is: that
    nobody can tell is no good news. So does one that lacks, if the forecasts are of a `partial` answer.
    """
    at = max((one.start_ms for one in forecasts if not one.skipped), default=now_ms)
    findings = predicted(job, forecasts)
    known = {(one.entity, one.feature) for one in forecasts}
    unknown = {(one.entity, one.feature) for one in forecasts if one.skipped}
    for alert in AlertRepository(engine.store).live(job.name).values():
        key = (alert.entity, alert.feature)
        if alert.kind == KIND and (key in unknown or (partial and key not in known)):
            why = "could not be forecast this time"
            findings.append(
                Finding(
                    alert.entity, alert.opened_ms, alert.summary, why, alert.feature, alert.severity, alert.score,
                    alert.causes,
                )
            )  # fmt: skip
    over = "the probability of running out is below the line again"
    return engine.apply_findings(job, KIND, findings, at, now_ms, resolved_why=over)


def predicted(job: Job, forecasts: Sequence[SeriesForecast]) -> list[Finding]:
    """Resources that will run out, by the rule of each feature."""
    out = []
    for one in forecasts:
        query = job.queries.get(one.feature)
        if one.exhaustion is None or query is None or query.exhaustion is None:
            continue
        rule = query.exhaustion
        when = TimeToExhaustion(**one.exhaustion)
        if when.probability < rule.probability:
            continue
        soon = when.seconds is not None and when.seconds <= SOON * when.within
        cause = {
            "feature": one.feature, "share": 1.0, "observed": None, "expected": float(one.rows[0, 0]),
            "lower": float(one.rows[0, 1]), "upper": float(one.rows[0, 2]),
        }  # fmt: skip
        out.append(
            Finding(
                one.entity,
                one.start_ms,
                f"{when}; {when.probability:.0%} likely within {format_duration(rule.within)} ({job.name})",
                f"probability {when.probability:.2f}, the line is {rule.probability:g}",
                one.feature,
                "critical" if soon else "warning",
                when.probability / rule.probability,
                [cause],
            )
        )
    return out
