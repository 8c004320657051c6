"""Fixtures: one server of each kind for the whole run, started when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.servers import servers, vault

from foreshock_pipelines.datasets.demo import demo_fleet
from foreshock_pipelines.datasets.windows import Windows


@pytest.fixture(scope="session")
def fleet() -> Windows:
    """Three hosts, one day in steps of a minute, with gaps and a host that died."""
    return demo_fleet(hosts=3, days=1, incidents=0)[0]


@pytest.fixture(scope="session")
def fleet_prometheus(fleet: Windows, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Prometheus that holds `fleet`, one metric for each feature."""
    # a sample counts for its own minute only: else a gap of the fleet is filled from before it
    with servers.prometheus(
        tmp_path_factory.mktemp("prometheus"), windows=fleet, args=["--query.lookback-delta=59s999ms"]
    ) as url:
        yield url


@pytest.fixture(scope="session")
def fleet_victoria_metrics(fleet: Windows, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a VictoriaMetrics that holds `fleet`."""
    with servers.victoria_metrics(tmp_path_factory.mktemp("victoria"), windows=fleet) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """SQLAlchemy URL of an empty PostgreSQL database."""
    with servers.postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.fixture(scope="session")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vault.OpenBao]:
    """An OpenBao, which speaks Vault's protocol."""
    with vault.openbao(tmp_path_factory.mktemp("openbao")) as found:
        yield found
