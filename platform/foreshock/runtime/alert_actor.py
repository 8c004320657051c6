"""The alert actor: small, detached, restarted by Ray; it holds nothing that it could lose."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest

from foreshock.alerts.delivery import alert_deliverer
from foreshock.alerts.payload import alert_payload
from foreshock.alerts.pipeline import AlertPipeline
from foreshock.configuration.watch import LiveSource
from foreshock.feedback.training_data import tolerances
from foreshock.incidents.call_graphs import CallGraphs
from foreshock.incidents.causes_by_metrics import CauseRanker
from foreshock.logs import Condition, describe_error, get_logger, note_restart, set_up_logging
from foreshock.oncall.config_file import notifications_file
from foreshock.oncall.pipeline import IncidentPipeline
from foreshock.runtime.maintenance import Maintenance
from foreshock.scoring.checkpoint import Checkpoint, CheckpointRepository
from foreshock.scoring.latest import Latest
from foreshock.scoring.write_queue import Block
from foreshock.settings import LiveSettings
from foreshock.store.retention import Retention
from foreshock.store.scope import DEFAULT_TENANT, Scope, within
from foreshock.store.store import open_patiently, store_condition
from foreshock_models.errors import StoreError
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.scoring.scored_rows import ScoredRows

__all__ = ["AlertActor"]

EVERY = 0.5
"""Seconds between two looks at the outbox."""


class AlertActor:
    """Takes scored passes, writes what they mean, and delivers it from the outbox in threads of their own."""

    def __init__(
        self,
        store_url: str,
        url: str,
        jobs: Sequence[Job],
        log_level: str = "INFO",
        keep: Retention | None = None,
        notifications: Path | None = None,
        live: LiveSource | None = None,
    ) -> None:
        set_up_logging(log_level)
        self.log = get_logger("alerts")
        note_restart(self.log)
        self.store = open_patiently(store_url)
        self.engine = AlertPipeline(self.store, url)
        self.deliverer = alert_deliverer(self.store, jobs, url=url)
        self.jobs = {job.name: job for job in jobs}
        self.graphs = CallGraphs(self.store, lambda: dict(self.jobs))
        self.notifications, self.url = notifications, url
        self.rankers: dict[str, CauseRanker] = {}
        self.pipelines: dict[str, IncidentPipeline] = {}
        self.maintenance = Maintenance(self.engine, keep or Retention())
        self.passed: dict[str, int] = {}
        self.latest: dict[str, Latest] = {}
        if live is not None:
            live.watch("alerts", self.change, self.store)
        self._stop = threading.Event()
        for name, action in (
            ("delivery", self._deliver),
            ("maintenance", self._look_after),
            ("incidents", self._tell),
            ("causes", self._rank),
        ):
            threading.Thread(target=self._again_and_again, args=(name, action), name=name, daemon=True).start()

    def apply(
        self,
        job: Job,
        scored: ScoredRows,
        now_ms: int,
        revision: int | None = None,
        latest: Latest | None = None,
        unwritten: Sequence[Block] = (),
    ) -> list[dict[str, Any]] | None:
        """See `AlertPipeline.apply`; gives the alerts that changed as JSON values."""
        self.watch(job)
        with within(Scope(job.tenant)):
            changes = self.engine.apply(job, scored, now_ms, revision, unwritten)
        if changes is None:
            return None
        self.passed[job.name] = _now_ms()
        if latest is not None:
            self.latest[job.name] = latest
        return [alert_payload(c.alert, c.event, self.engine.url) for c in changes if c.event != "updated"]

    def scorer(self, job: str) -> Checkpoint | None:
        """The scoring checkpoint of a job."""
        return CheckpointRepository(self.store).get(job)

    def tolerances(self, job: str, since_ms: int) -> dict[str, float]:
        """See `foreshock.feedback.training_data.tolerances`."""
        return tolerances(self.store, job, since_ms)

    def watch(self, job: Job) -> None:
        """Take up the notifiers of a new or changed job."""
        if self.jobs.get(job.name) != job:
            self.deliverer.watch(job)
            self.jobs[job.name] = job

    def change(self, live: LiveSettings) -> None:
        """Take up settings that were changed."""
        self.maintenance.keep_for(live.retention)

    def latest_scores(self) -> dict[str, Latest]:
        """Job to the last score of each entity."""
        return self.latest

    def metrics(self) -> str:
        """Metrics of delivery, in Prometheus' text format."""
        return generate_latest(self.deliverer.counted).decode()

    def pid(self) -> int:
        return os.getpid()

    def _deliver(self) -> None:
        self.deliverer.run(_now_ms(), wait=0)

    def _rank(self) -> None:
        self.graphs.run(_now_ms())
        for tenant in self._tenants():
            if tenant not in self.rankers:
                jobs = functools.partial(self._jobs_of, tenant)
                self.rankers[tenant] = CauseRanker(self.store, jobs, self.graphs, tenant)
            with within(Scope(tenant)):
                self.rankers[tenant].run(_now_ms())

    def _tell(self) -> None:
        for tenant in self._tenants():
            self._pipeline(tenant).run(_now_ms())

    def _pipeline(self, tenant: str) -> IncidentPipeline:
        """The pipeline of a tenant, with its notifications file; one that is written later is taken up."""
        file = notifications_file(self.notifications, tenant)
        pipeline = self.pipelines.get(tenant)
        if pipeline is None or (file is not None and pipeline.live.path is None):
            jobs = functools.partial(self._jobs_of, tenant)
            pipeline = self.pipelines[tenant] = IncidentPipeline(
                self.store, self.deliverer, jobs, file=file, url=self.url, graphs=self.graphs, tenant=tenant
            )
        return pipeline

    def _tenants(self) -> set[str]:
        return {DEFAULT_TENANT, *(job.tenant for job in list(self.jobs.values()))}

    def _jobs_of(self, tenant: str) -> dict[str, Job]:
        return {name: job for name, job in list(self.jobs.items()) if job.tenant == tenant}

    def _look_after(self) -> None:
        self.maintenance.run(dict(self.jobs), self.passed, _now_ms())

    def _again_and_again(self, name: str, action: Callable[[], None]) -> None:
        away = store_condition(self.log)
        failing = Condition(self.log, f"{name} fails; trying again", f"{name} goes on")
        while not self._stop.wait(EVERY):
            try:
                if away.present:
                    self.store.check()  # a round that needs nothing of it says nothing about it
                action()
            except StoreError as exc:
                away.raised(str(exc))
            except Exception as exc:  # it must outlive everything; what went wrong is logged
                failing.raised(describe_error(exc))
            else:
                away.cleared()
                failing.cleared()


def _now_ms() -> int:
    return round(time.time() * 1000)
