"""What is measured of scoring."""

from __future__ import annotations

from datetime import UTC, datetime

from foreshock.runtime.metrics import ControlLoopMetrics
from foreshock.scoring.report import PassReport

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def test_passes_over_partial_answers_are_counted() -> None:
    measures = ControlLoopMetrics()
    measures.watch("node")
    assert 'foreshock_partial_answers_total{job="node"} 0.0' in measures.exposition(NOW)
    measures.passed(PassReport("node", "v1", 0))
    measures.passed(PassReport("node", "v1", 0, partial=("store-2 is down", "store-3 is down")))
    assert 'foreshock_partial_answers_total{job="node"} 1.0' in measures.exposition(NOW)
