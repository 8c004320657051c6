"""What Prometheus reads at ``/metrics``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

__all__ = ["render"]


class _Collector:
    def __init__(self, families: Iterable[GaugeMetricFamily]) -> None:
        self.families = families

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self.families


def render(scores: Mapping[str, Mapping[str, float]], undelivered: int, served: list[dict[str, Any]]) -> str:
    """Latest scores, notifications that wait, and which models are served."""
    score = GaugeMetricFamily(
        "foreshock_anomaly_score", "Latest calibrated score; 1 is the alert line.", labels=["job", "entity"]
    )
    for job, entities in scores.items():
        for entity, value in entities.items():
            score.add_metric([job, entity], value)
    waiting = GaugeMetricFamily("foreshock_outbox_waiting", "Notifications that are not delivered yet.")
    waiting.add_metric([], undelivered)
    model = GaugeMetricFamily("foreshock_model_info", "Models that are served.", labels=["job", "version"])
    for entry in served:
        model.add_metric([entry["job"], entry["version"]], 1)
    registry = CollectorRegistry()
    registry.register(_Collector([score, waiting, model]))
    return generate_latest(registry).decode()
