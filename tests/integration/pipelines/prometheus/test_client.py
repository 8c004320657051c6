from __future__ import annotations

from typing import Any

import pytest

from foreshock_models.errors import QueryError
from foreshock_pipelines.jobfile import SourceConfig
from foreshock_pipelines.prometheus.client import PrometheusClient


def client(url: str, **keys: Any) -> PrometheusClient:
    return PrometheusClient(SourceConfig.model_validate({"prometheus": url, **keys}))


@pytest.mark.prometheus
def test_a_compressed_response_is_the_same(fleet_prometheus: str, fleet: Any) -> None:
    span = fleet.start_ms, fleet.end_ms, 60.0
    plain = client(fleet_prometheus).query_range("cpu", *span)
    assert client(fleet_prometheus, compression=True).query_range("cpu", *span) == plain


@pytest.mark.prometheus
@pytest.mark.parametrize("query", ["sum by (", 'label_replace(up, "a", "b")', "up[5m"])
def test_a_refused_query_gives_prometheus_own_words(fleet_prometheus: str, query: str) -> None:
    with pytest.raises(QueryError, match="parse error") as caught:
        client(fleet_prometheus).query_range(query, 0, 60_000, 60.0)
    assert repr(query) in str(caught.value)
    assert fleet_prometheus in str(caught.value)
