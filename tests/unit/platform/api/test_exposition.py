from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from foreshock.api.exposition import render, scrape_type
from foreshock.runs.model import Run
from foreshock.runtime.metrics import ControlLoopMetrics
from foreshock.scoring.latest import Latest
from foreshock.scoring.report import PassReport, WriteStats
from foreshock_pipelines.jobfile import Job

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
OLD = "text/plain; version=0.0.4; charset=utf-8"
MS = round(NOW.timestamp() * 1000)


def samples(text: str) -> dict[str, float]:
    """Sample, written as in the text, to its value; an empty label is none."""
    found = {}
    for family in text_string_to_metric_families(text):
        for s in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(s.labels.items()) if v)
            found[f"{s.name}{{{labels}}}"] = s.value
    return found


def test_the_newest_scores_carry_the_labels_of_the_entity_and_what_is_usual() -> None:
    job = Job.model_validate(
        {
            "name": "pods", "source": {"prometheus": "http://localhost:9090"}, "entity": ["namespace", "pod"],
            "queries": {"cpu": "cpu", "memory": "memory"},
        }
    )  # fmt: skip
    usual = np.array([[[0.5, np.nan]], [[0.4, np.nan]], [[0.6, np.nan]]])
    entity = 'namespace=shop,pod=cart-"0"'
    latest = Latest((entity,), ("cpu", "memory"), "ensemble", np.array([1.25]), usual, {"vae": np.array([1.5])})
    got = samples(render({"pods": latest}, {"pods": job}, 3, [], {"alerts": False}, [], NOW))
    where = 'job=pods,namespace=shop,pod=cart-"0"'
    assert got[f"foreshock_anomaly_score{{detector=ensemble,{where}}}"] == 1.25
    assert got[f"foreshock_detector_score{{detector=vae,{where}}}"] == 1.5
    assert got[f"foreshock_upper{{feature=cpu,{where}}}"] == 0.6
    assert not [name for name in got if "feature=memory" in name], "what is not known is left out"
    assert got["foreshock_outbox_waiting{}"] == 3
    assert got["foreshock_actor_up{actor=alerts}"] == 0


def test_of_each_kind_of_run_the_newest_is_shown() -> None:
    ago = timedelta(minutes=10)
    newest = Run("b", "node", "train", "running", NOW, started=NOW - ago)
    older = Run("a", "node", "train", "failed", NOW - ago, started=NOW - 3 * ago, ended=NOW - 2 * ago)
    got = samples(render({}, {}, 0, [], {}, [newest, older], NOW))
    assert got["foreshock_run_state{job=node,kind=train,state=running}"] == 1
    assert got["foreshock_run_seconds{job=node,kind=train}"] == 600
    assert not [name for name in got if "failed" in name]


def test_passes_are_counted_and_their_lag_is_of_the_moment_when_it_is_asked_for() -> None:
    measures = ControlLoopMetrics()
    measures.watch("node")
    report = PassReport(
        "node", "v1", MS - 60_000, rows=20, late=3, stages={"score": 0.5}, trained_ms=MS - 3_600_000
    )
    measures.passed(report)
    measures.passed(report)
    measures.failed("node", source=True)
    measures.failed("node", source=False)
    got = samples(measures.exposition(NOW))
    assert got["foreshock_scored_rows_total{job=node}"] == 40
    assert got["foreshock_late_rows_total{job=node}"] == 6
    assert got["foreshock_passes_total{job=node,result=failed}"] == 2
    assert got["foreshock_fetch_errors_total{job=node}"] == 1
    assert got["foreshock_stage_seconds_sum{job=node,stage=score}"] == 1.0
    assert got["foreshock_lag_seconds{job=node}"] == 60
    assert got["foreshock_model_age_seconds{job=node}"] == 3600
    later = samples(measures.exposition(NOW + timedelta(minutes=9)))
    assert later["foreshock_lag_seconds{job=node}"] == 600


def test_what_a_worker_wrote_is_counted_on_after_it_began_anew() -> None:
    measures = ControlLoopMetrics()

    def report(**stats: int) -> PassReport:
        return PassReport("node", "v1", MS, write=WriteStats(**stats))

    measures.passed(report(written=100, failures=2))
    measures.passed(report(written=150, waiting=7, failures=2))
    measures.passed(report(written=30, refused=1))
    got = samples(measures.exposition(NOW))
    assert got["foreshock_write_samples_total{job=node,result=written}"] == 180
    assert got["foreshock_write_samples_total{job=node,result=refused}"] == 1
    assert got["foreshock_write_failures_total{job=node}"] == 2
    assert got["foreshock_write_waiting_samples{job=node}"] == 0


def test_label_names_are_utf8_for_a_prometheus_that_asks_so_and_plain_for_others() -> None:
    job = Job.model_validate(
        {
            "name": "apps", "source": {"prometheus": "http://x"}, "queries": {"cpu": "up"},
            "entity": ["service.name", "service_name"],
        }
    )  # fmt: skip
    entity = "service.name=cart,service_name=shop"
    latest = Latest((entity,), ("cpu",), "iforest", np.array([0.5]), np.zeros((3, 1, 1)), {})
    plain = render({"apps": latest}, {"apps": job}, 0, [], {}, [], NOW)
    score = next(family for family in text_string_to_metric_families(plain) if "anomaly" in family.name)
    assert score.samples[0].labels == {
        "detector": "iforest", "instance": "", "job": "apps", "service_name_": "cart", "service_name": "shop",
    }  # fmt: skip
    utf8 = render({"apps": latest}, {"apps": job}, 0, [], {}, [], NOW, utf8=True)
    assert '"service.name"="cart",service_name="shop"' in utf8


@pytest.mark.parametrize(
    ("accept", "kind", "utf8"),
    [
        ("", OLD, False),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3", OLD, False),
        ("text/plain;version=1.0.0;escaping=underscores;q=0.4", OLD, False),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
            "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4",
            "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8", True,
        ),
    ],
)  # fmt: skip
def test_a_scrape_gets_what_it_accepts(accept: str, kind: str, utf8: bool) -> None:
    assert scrape_type(accept) == (kind, utf8)
