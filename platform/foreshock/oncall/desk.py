"""The desk: incidents, escalation and channels of a running installation, put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from foreshock.incidents.call_graphs import CallGraphs
from foreshock.incidents.classification import DEFAULT_CLASSES
from foreshock.incidents.classifying import Classifying
from foreshock.incidents.gathering import Gatherer
from foreshock.notify.channels.base import Channel
from foreshock.notify.channels.registry import make_channel
from foreshock.notify.delivery import Deliverer
from foreshock.notify.templates import Templates
from foreshock.oncall.config import NotificationsConfig
from foreshock.oncall.load import LiveConfig
from foreshock.oncall.memory import Threads
from foreshock.oncall.notices import Notices
from foreshock.oncall.pager import Pager
from foreshock.store.scope import DEFAULT_TENANT, Scope, within
from foreshock.store.store import Store
from foreshock_pipelines.jobfile import Job

__all__ = ["Desk", "channel_of"]


def channel_of(config: NotificationsConfig, name: str, store: Store, tenant: str = DEFAULT_TENANT) -> Channel:
    """Make a channel of the notifications file."""
    return make_channel(name, config.channels[name], Templates(config.templates), Threads(store, tenant))


class Desk:
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
        self.gatherer = Gatherer(store, jobs, tenant=tenant, least=self.live.config.least_alerts, graphs=graphs)
        self.classifying = Classifying(store, lambda: self.live.config.classes or DEFAULT_CLASSES, tenant)
        self.pager = Pager(store, lambda: self.live.config, url=url, tenant=tenant)
        self.notices = Notices(store, lambda: self.live.config, url=url, tenant=tenant)
        self._watch()

    def run(self, now_ms: int) -> None:
        """Do what is due; to be called often."""
        if self.live.refresh():
            self._watch()
        with within(Scope(self.tenant)):
            self.gatherer.run(now_ms)
            self.classifying.run(now_ms)
            self.pager.run(now_ms)
            self.notices.run(now_ms)

    def _watch(self) -> None:
        config = self.live.config
        self.gatherer.least = config.least_alerts
        templates, threads = Templates(config.templates), Threads(self.store, self.tenant)

        def make(name: str, channel: Any) -> Channel:
            return make_channel(name, channel, templates, threads)

        self.deliverer.watch_channels(config.channels, make, self.pager.live, self.tenant)
