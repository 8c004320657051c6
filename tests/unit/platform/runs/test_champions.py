"""Champions that people change: audited, told, and never half done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from foreshock.audit.acting import Actor, acting
from foreshock.audit.repository import AuditRepository
from foreshock.events.repository import EventRepository
from foreshock.runs.champions import Champions
from foreshock.store import Store
from foreshock_models.detectors import Subspace
from foreshock_models.errors import RegistryError, StoreError
from foreshock_pipelines.registry import CHALLENGER, Registry

EXTRA = {"training": {"start": "", "end": "", "entities": 1}, "entity": ["instance"], "step": 60, "budget": "1"}


def published(folder: Path) -> tuple[Registry, str, str]:
    """A registry with a champion and a challenger, and the versions of both."""
    registry = Registry(folder)
    detector = Subspace(window=4).fit(np.random.default_rng(0).normal(size=(200, 2)))
    first = registry.publish(detector, "node", EXTRA).version
    return registry, first, registry.publish(detector, "node", EXTRA, alias=CHALLENGER).version


def test_promotion_and_rollback_are_audit_entries_and_events(store: Store, tmp_path: Path) -> None:
    registry, first, second = published(tmp_path)
    champions = Champions(registry, store)
    with acting(Actor("anna", "person", "10.0.0.9")):
        assert champions.promote("node").version == second
        assert champions.rollback("node").version == first
    with store.read() as c:
        found = AuditRepository(store).find(c, act="models")
    assert [(e.who, e.act, e.subject, e.data) for e in found] == [
        ("anna", "models:rollback", "node", {"version": first, "before": second}),
        ("anna", "models:promote", "node", {"version": second, "before": first}),
    ]
    events = EventRepository(store).since(0, ["model"])
    assert [(e.subject, e.data["event"], e.data["version"]) for e in events] == [
        ("node", "promoted", second), ("node", "rolled_back", first),
    ]  # fmt: skip


def test_what_the_registry_refuses_is_no_entry(store: Store, tmp_path: Path) -> None:
    registry, first, _ = published(tmp_path)
    with pytest.raises(RegistryError, match="no earlier champion"):
        Champions(registry, store).rollback("node")
    with pytest.raises(RegistryError):
        Champions(registry, store).promote("node", "nothing")
    with store.read() as c:
        assert AuditRepository(store).find(c) == []
    assert registry.champion("node") == first


def test_without_an_audit_entry_the_champion_stays(store: Store, tmp_path: Path) -> None:
    registry, first, _ = published(tmp_path)
    with store.engine.begin() as c:
        c.execute(sa.text("DROP TABLE events"))
    with pytest.raises(StoreError):
        Champions(registry, store).promote("node")
    assert registry.champion("node") == first
    with store.read() as c:
        assert AuditRepository(store).find(c) == []


def test_commands_are_audited_as_the_user_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from foreshock.cli.app import _load_commands, app

    for name in ("FORESHOCK_STORE_URL", "FORESHOCK_REGISTRY_URI", "ENCRYPTION_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FORESHOCK_HOME", str(tmp_path))
    _, first, second = published(tmp_path / "models")
    _load_commands()
    assert second in CliRunner().invoke(app, ["models", "promote", "node", second[:-1]]).output
    assert first in CliRunner().invoke(app, ["models", "rollback", "node"]).output
    entries = json.loads(CliRunner().invoke(app, ["audit", "list", "--json"]).output)
    assert [(e["act"], e["kind"]) for e in entries] == [("models:rollback", "local"), ("models:promote", "local")]


def test_champions_change_over_http(make_application: Any, tmp_path: Path) -> None:
    registry, first, second = published(tmp_path / "registry")
    application = make_application(registry_uri=str(tmp_path / "registry"))
    told = application.ask("POST", "/ai/models/node/promote", body={})
    assert (told.status, told.json()) == (200, {"job": "node", "champion": second})
    assert registry.champion("node") == second
    assert application.ask("POST", "/ai/models/node/rollback").json()["champion"] == first
    assert application.ask("POST", "/ai/models/node/rollback").status == 404
    for which in ("nothing", "../../x"):
        assert application.ask("POST", "/ai/models/node/promote", body={"which": which}).status == 404
    assert application.ask("POST", "/ai/models/no-such-job/promote", body={}).status == 404
    acts = [e["act"] for e in application.ask("GET", "/admin/audit?act=models").json()["entries"]]
    assert acts == ["models:rollback", "models:promote"]


def test_champions_of_other_jobs_than_ones_own_are_not_seen(make_application: Any, tmp_path: Path) -> None:
    registry, first, _ = published(tmp_path / "registry")
    application = make_application(registry_uri=str(tmp_path / "registry"))
    tokens = [
        application.ask("POST", "/admin/tokens", body={"name": "ci", "scopes": ["editor"], "jobs": jobs}).json()[
            "token"
        ]
        for jobs in ("web-*", "no*")
    ]
    for verb in ("promote", "rollback"):
        assert application.ask("POST", f"/ai/models/node/{verb}", tokens[0], {}).status == 404
    assert registry.champion("node") == first
    assert application.ask("POST", "/ai/models/node/promote", tokens[1], {}).status == 200
