"""The pipeline of a tenant: alerts -> incidents -> classes -> escalation -> notices; the deliverer sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from foreshock.incidents.builder import IncidentBuilder
from foreshock.incidents.call_graphs import CallGraphs
from foreshock.incidents.class_assignment import ClassAssignment
from foreshock.incidents.classifier import DEFAULT_CLASSES
from foreshock.incidents.picture import TimelinePictures
from foreshock.notify.channels.base import Channel
from foreshock.notify.channels.registry import make_channel
from foreshock.notify.deliverer import Deliverer
from foreshock.notify.templates import Templates
from foreshock.oncall.config import NotificationsConfig
from foreshock.oncall.config_file import LiveConfig
from foreshock.oncall.escalation import Escalation
from foreshock.oncall.message_threads import MessageThreads
from foreshock.oncall.notices import Notices
from foreshock.store.scope import DEFAULT_TENANT, Scope, within
from foreshock.store.store import Store
from foreshock_pipelines.jobfile import Job

__all__ = ["IncidentPipeline", "channel_of"]


def channel_of(config: NotificationsConfig, name: str, store: Store, tenant: str = DEFAULT_TENANT) -> Channel:
    """Make a channel of the notifications file."""
    threads, pictures = MessageThreads(store, tenant), TimelinePictures(store, tenant)
    return make_channel(name, config.channels[name], Templates(config.templates), threads, pictures.draw)


class IncidentPipeline:
    """Makes incidents of the alerts of a tenant, and messages of incidents; the deliverer sends them.

    Parameters
    ----------
    jobs
        Gives the jobs in force.
    file
        The notifications file; None: incidents are lines of the log.
    graphs
        Call graphs of the jobs; default: those of their files.
    """

    def __init__(
        self,
        store: Store,
        deliverer: Deliverer,
        jobs: Callable[[], Mapping[str, Job]],
        *,
        file: Path | None = None,
        url: str = "",
        graphs: CallGraphs | None = None,
        tenant: str = DEFAULT_TENANT,
    ) -> None:
        self.tenant = tenant
        self.live = LiveConfig(file)
        self.store = store
        self.deliverer = deliverer
        self.builder = IncidentBuilder(
            store, jobs, tenant=tenant, least=self.live.config.least_alerts, graphs=graphs
        )
        self.class_assignment = ClassAssignment(store, lambda: self.live.config.classes or DEFAULT_CLASSES, tenant)
        self.escalation = Escalation(store, lambda: self.live.config, url=url, tenant=tenant)
        self.notices = Notices(store, lambda: self.live.config, url=url, tenant=tenant)
        self._watch()

    def run(self, now_ms: int) -> None:
        """Do what is due; to be called often."""
        if self.live.refresh():
            self._watch()
        with within(Scope(self.tenant)):
            self.builder.run(now_ms)
            self.class_assignment.run(now_ms)
            self.escalation.run(now_ms)
            self.notices.run(now_ms)

    def _watch(self) -> None:
        config = self.live.config
        self.builder.least = config.least_alerts
        templates, threads = Templates(config.templates), MessageThreads(self.store, self.tenant)
        pictures = TimelinePictures(self.store, self.tenant)

        def make(name: str, channel: Any) -> Channel:
            return make_channel(name, channel, templates, threads, pictures.draw)

        self.deliverer.watch_channels(config.channels, make, self.escalation.live, self.tenant)
