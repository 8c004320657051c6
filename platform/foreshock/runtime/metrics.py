"""Metrics of the control loop; its counters begin at zero when it restarts, as Prometheus expects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary, generate_latest

from foreshock.scoring.report import PassReport, WriteStats

__all__ = ["ControlLoopMetrics"]


class ControlLoopMetrics:
    """Counters and gauges of all jobs, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = r = CollectorRegistry()
        job = ["job"]
        self.rows = Counter("foreshock_scored_rows", "Rows that were scored.", job, registry=r)
        self.late = Counter("foreshock_late_rows", "ScoredRows rows whose samples had come late.", job, registry=r)
        self.passes = Counter("foreshock_passes", "Scoring passes.", [*job, "result"], registry=r)
        self.fetch = Counter("foreshock_fetch_errors", "Passes that the source failed.", job, registry=r)
        self.partial = Counter(
            "foreshock_partial_answers", "Passes whose source left out a part of its data.", job, registry=r
        )
        self.stages = Summary("foreshock_stage_seconds", "Stages of a pass.", [*job, "stage"], registry=r)
        self.scored = Gauge("foreshock_scored_timestamp_seconds", "Up to when a job is scored.", job, registry=r)
        self.lag = Gauge("foreshock_lag_seconds", "How far scoring is behind now.", job, registry=r)
        self.age = Gauge("foreshock_model_age_seconds", "Age of the model that scores.", job, registry=r)
        self.waiting = Gauge("foreshock_write_waiting_samples", "Samples to be written.", job, registry=r)
        self.written = Counter(
            "foreshock_write_samples", "Samples by what became of them.", [*job, "result"], registry=r
        )
        self.failures = Counter("foreshock_write_failures", "Writes that failed.", job, registry=r)
        self.drift = Gauge(
            "foreshock_input_drift", "Population stability index of a day.", [*job, "feature"], registry=r
        )
        self.jobfile = Gauge(
            "foreshock_jobfile_last_reload_successful", "0 while a job file, as it is now, is not in force.", job,
            registry=r,
        )  # fmt: skip
        self.refused = Counter(
            "foreshock_jobfile_reload_failures", "Loads of a job file that failed.", job, registry=r
        )
        self._trained: dict[str, float] = {}
        self._scored: dict[str, float] = {}
        self._write: dict[str, WriteStats] = {}

    def watch(self, job: str) -> None:
        """Show a job with zeros from its beginning, so that the first increase can be seen."""
        for metric in (self.rows, self.late, self.fetch, self.partial):
            metric.labels(job)
        for result in ("ok", "failed"):
            self.passes.labels(job, result)
        self.jobfile.labels(job).set(1)
        self.refused.labels(job)

    def reloaded(self, job: str, holds: bool) -> None:
        """The file of a job was loaded; `holds` says whether it is in force."""
        self.jobfile.labels(job).set(float(holds))
        if not holds:
            self.refused.labels(job).inc()

    def passed(self, report: PassReport) -> None:
        """A pass that came to its end."""
        job = report.job
        if report.version is None:
            return
        self.passes.labels(job, "ok").inc()
        self.rows.labels(job).inc(report.rows)
        self.late.labels(job).inc(report.late)
        self.partial.labels(job).inc(bool(report.partial))
        for stage, seconds in report.stages.items():
            self.stages.labels(job, stage).observe(seconds)
        self._scored[job] = report.scored_ms / 1000
        self.scored.labels(job).set(self._scored[job])
        if report.trained_ms is not None:
            self._trained[job] = report.trained_ms / 1000
        if report.write is not None:
            self._wrote(job, report.write)

    def failed(self, job: str, *, source: bool) -> None:
        """A pass that failed; `source` says whether the source did."""
        self.passes.labels(job, "failed").inc()
        if source:
            self.fetch.labels(job).inc()

    def drifted(self, job: str, found: Mapping[str, float]) -> None:
        """How far each feature is from what the champion learnt."""
        for feature, index in found.items():
            self.drift.labels(job, feature).set(index)

    def exposition(self, now: datetime) -> str:
        """Prometheus' text format."""
        for job, when in self._scored.items():
            self.lag.labels(job).set(max(0.0, now.timestamp() - when))
        for job, when in self._trained.items():
            self.age.labels(job).set(max(0.0, now.timestamp() - when))
        return generate_latest(self.registry).decode()

    def _wrote(self, job: str, stats: WriteStats) -> None:
        before = self._write.get(job, WriteStats())
        if stats.written < before.written or stats.failures < before.failures:
            before = WriteStats()  # of a worker that was restarted
        self._write[job] = stats
        self.waiting.labels(job).set(stats.waiting)
        for result in ("written", "refused", "dropped"):
            more = getattr(stats, result) - getattr(before, result)
            self.written.labels(job, result).inc(max(0, more))
        self.failures.labels(job).inc(max(0, stats.failures - before.failures))
