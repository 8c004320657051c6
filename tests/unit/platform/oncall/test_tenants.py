"""Notifications files of several tenants: people of one are never told of another's incidents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from foreshock.incidents.repository import IncidentRepository
from foreshock.incidents.service import IncidentService
from foreshock.notify.deliverer import Deliverer
from foreshock.oncall.config_file import notifications_file
from foreshock.oncall.pipeline import IncidentPipeline
from foreshock.store.scope import Scope, within
from foreshock.store.tables import outbox

CONFIG = """
channels: {{chat: {{type: webhook, url: "http://127.0.0.1:1/{name}"}}}}
policies: {{default: {{steps: [{{to: ["channel:chat"]}}]}}}}
route: {{policy: default, wait: 0s}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "notifications"
    folder.mkdir()
    for name in ("default", "acme"):
        (folder / f"{name}.yaml").write_text(CONFIG.format(name=name))
    return folder


def pipelines(house: Any, folder: Path, *tenants: str) -> tuple[Deliverer, list[IncidentPipeline]]:
    deliverer = Deliverer(house.store, [])
    made = [
        IncidentPipeline(
            house.store, deliverer, dict, file=notifications_file(folder, each), url="http://f", tenant=each
        )
        for each in tenants
    ]
    return deliverer, made


def happens(house: Any, tenant: str, *each: IncidentPipeline) -> list[str]:
    """An incident of a tenant; gives the queues of the messages about it."""
    with within(Scope(tenant)):
        IncidentService(house.store, tenant).create("db is down", who="anna", now_ms=1000)
    for pipeline in each:
        pipeline.run(1000)
        pipeline.run(60_000)
    with house.store.begin() as c:
        return list(c.execute(sa.select(outbox.c.notifier)).scalars())


def test_an_incident_is_told_by_the_channels_of_its_own_tenant(house: Any, folder: Path) -> None:
    deliverer, made = pipelines(house, folder, "default", "acme")
    assert happens(house, "acme", *made) == ["channel/acme/chat"]
    urls = {name: queue.sender.config.url for name, queue in deliverer.queues.items()}
    assert urls == {
        "channel/chat": "http://127.0.0.1:1/default", "channel/acme/chat": "http://127.0.0.1:1/acme"
    }  # fmt: skip


def test_a_tenant_without_a_file_tells_nobody_of_another(house: Any, folder: Path) -> None:
    _, made = pipelines(house, folder, "default", "globex")
    assert happens(house, "globex", *made) == ["channel/globex/log"]
    (incident,) = IncidentRepository(house.store, "globex").list().incidents
    assert incident.live
    assert IncidentRepository(house.store, "default").list().incidents == []


def test_a_changed_file_of_one_tenant_leaves_the_channels_of_others(house: Any, folder: Path) -> None:
    deliverer, made = pipelines(house, folder, "default", "acme")
    (folder / "acme.yaml").write_text(CONFIG.format(name="other").replace("chat", "talk"))
    made[1].run(1000)
    live = {name for name, queue in deliverer.queues.items() if not queue.retired}
    assert live == {"channel/chat", "channel/acme/talk"}


def test_a_single_file_is_that_of_the_first_tenant_alone(tmp_path: Path) -> None:
    file = tmp_path / "notifications.yaml"
    file.write_text(CONFIG.format(name="x"))
    assert notifications_file(file, "default") == file
    assert notifications_file(file, "acme") is None
    assert notifications_file(None, "default") is None
