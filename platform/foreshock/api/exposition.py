"""Metrics for Prometheus at ``/metrics``: the newest scores, and the platform's own state."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import ALLOWUTF8, UNDERSCORES

from foreshock.api.routers.forecasts import forecast_metrics
from foreshock.notify.outbox import Outbox
from foreshock.runs.model import Run
from foreshock.runtime.certificate_reload import STATE, served_certificate
from foreshock.scoring.latest import Latest
from foreshock.scoring.remote_write import METRICS, score_labels
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.prometheus.labels import legacy_names

__all__ = ["render", "scrape", "scrape_type"]

ACTORS = ("control_loop", "alerts")
PATIENCE = 2.0


class _Collector:
    def __init__(self, families: Iterable[Metric]) -> None:
        self.families = families

    def collect(self) -> Iterable[Metric]:
        return self.families


def scrape_type(accept: str) -> tuple[str, bool]:
    """Content type for a scrape with this header `Accept`, and whether label names may be any UTF-8."""
    for kind in accept.split(","):
        words = {word.strip() for word in kind.split(";")}
        if {"text/plain", "version=1.0.0", f"escaping={ALLOWUTF8}"} <= words:
            return f"text/plain; version=1.0.0; charset=utf-8; escaping={ALLOWUTF8}", True
    return "text/plain; version=0.0.4; charset=utf-8", False


async def scrape(backend: Any, *, utf8: bool = False) -> str:
    """Everything, as far as it answers: an actor that is down is shown as down, and does not fail the rest.

    `utf8`: label names may be any UTF-8, as Prometheus 3 asks for; else they are made such as all versions take.
    """
    latest: Mapping[str, Latest] | None
    answers = await asyncio.gather(*(_ask(name, "metrics") for name in ACTORS), _ask("alerts", "latest_scores"))
    *texts, latest = answers
    up = {name: text is not None for name, text in zip(ACTORS, texts, strict=True)}
    waiting = await asyncio.to_thread(Outbox(backend.store).undelivered)
    runs = await asyncio.to_thread(backend.runs.recent, limit=200)
    now = datetime.now(UTC)
    forecasts = await asyncio.to_thread(forecast_metrics, backend.store, round(now.timestamp() * 1000))
    more = [*forecasts, *certificate_metrics(served_certificate(os.environ.get(STATE)))]
    own = render(latest or {}, backend.jobs, waiting, await backend.served(), up, runs, now, more, utf8=utf8)
    return own + "".join(text for text in texts if text)


async def _ask(actor: str, method: str) -> Any:
    import ray

    from foreshock.runtime.actors import NAMESPACE

    if not ray.is_initialized():  # asking for an actor would start a cluster
        return None
    try:
        handle = await asyncio.to_thread(ray.get_actor, actor, namespace=NAMESPACE)
        return await asyncio.wait_for(getattr(handle, method).remote(), PATIENCE)
    except (ValueError, TimeoutError, ray.exceptions.RayError):
        return None


def render(
    latest: Mapping[str, Latest],
    jobs: Mapping[str, Job],
    undelivered: int,
    served: Sequence[Mapping[str, Any]],
    up: Mapping[str, bool],
    runs: Sequence[Run],
    now: datetime,
    forecasts: Iterable[Metric] = (),
    *,
    utf8: bool = False,
) -> str:
    """Newest scores with what is usual, what waits, what is served, which actors answer, and the last runs."""
    waiting = GaugeMetricFamily("foreshock_outbox_waiting", "Notifications that are not delivered yet.")
    waiting.add_metric([], undelivered)
    model = GaugeMetricFamily("foreshock_model_info", "Models that are served.", labels=["job", "version"])
    for entry in served:
        model.add_metric([entry["job"], entry["version"]], 1)
    alive = GaugeMetricFamily("foreshock_actor_up", "1 if the actor answers.", labels=["actor"])
    for name, answers in up.items():
        alive.add_metric([name], float(answers))
    registry = CollectorRegistry()
    registry.register(
        _Collector([*_scores(latest, jobs, utf8), waiting, model, alive, *_runs(runs, now), *forecasts])
    )
    return generate_latest(registry, escaping=ALLOWUTF8 if utf8 else UNDERSCORES).decode()


def _scores(latest: Mapping[str, Latest], jobs: Mapping[str, Job], utf8: bool) -> list[Metric]:
    """With the same labels as those that are written to Prometheus.

    An entity without the label ``instance`` has an empty one: scraped with honor_labels, it then has none, and not
    the address of Foreshock.
    """
    families = {name: Metric(name, text, "gauge") for name, text in METRICS.items()}
    for job, last in latest.items():
        if job not in jobs:
            continue
        for i, entity in enumerate(last.entities):
            own = score_labels(job, entity, jobs[job].entity)
            labels = {"instance": "", **(own if utf8 else legacy_names(own))}
            families["foreshock_anomaly_score"].add_sample(
                "foreshock_anomaly_score", {**labels, "detector": last.detector}, float(last.score[i])
            )
            for name, values in last.members.items():
                families["foreshock_detector_score"].add_sample(
                    "foreshock_detector_score", {**labels, "detector": name}, float(values[i])
                )
            for metric, table in zip(("expected", "lower", "upper"), last.usual, strict=True):
                name = f"foreshock_{metric}"
                for feature, value in zip(last.features, table[i], strict=True):
                    if value == value:
                        families[name].add_sample(name, {**labels, "feature": feature}, float(value))
    return [family for family in families.values() if family.samples]


def certificate_metrics(state: Mapping[str, Any] | None) -> list[Metric]:
    """When the certificate ends, and whether the newest files of it are in force; nothing without TLS."""
    if state is None:
        return []
    ends = GaugeMetricFamily(
        "foreshock_tls_certificate_expiry_timestamp_seconds", "When the certificate of the API ends."
    )
    ends.add_metric([], state["ends"])
    force = GaugeMetricFamily(
        "foreshock_tls_last_reload_successful", "0 while the certificate, as its files are now, is not in force."
    )
    force.add_metric([], float(state["in_force"]))
    reloads = CounterMetricFamily("foreshock_tls_reloads", "Changed certificates by result.", labels=["result"])
    for result, count in state["reloads"].items():
        reloads.add_metric([result], count)
    return [ends, force, reloads]


def _runs(runs: Sequence[Run], now: datetime) -> list[Metric]:
    """Of the newest run of each job and kind: how it stands, and how long it took or takes."""
    state = GaugeMetricFamily("foreshock_run_state", "1 for the newest run.", labels=["job", "kind", "state"])
    seconds = GaugeMetricFamily("foreshock_run_seconds", "Length of the newest run.", labels=["job", "kind"])
    seen: set[tuple[str, str]] = set()
    for run in runs:
        if (run.job, run.kind) in seen:
            continue
        seen.add((run.job, run.kind))
        state.add_metric([run.job, run.kind, run.state], 1)
        if run.started is not None:
            seconds.add_metric([run.job, run.kind], ((run.ended or now) - run.started).total_seconds())
    return [state, seconds]
