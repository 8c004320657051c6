"""The models that are served: champions of the registry, taken up as they change."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from foreshock.configuration.watch import LiveSource
from foreshock.identity.model import Jobs
from foreshock.logs import Condition, describe_error, get_logger, set_up_logging
from foreshock.runtime.loopback import stay_on_loopback
from foreshock_models.detectors import Detector
from foreshock_models.errors import ForeshockError, RegistryError, allowed
from foreshock_models.panel import Panel
from foreshock_pipelines.registry import Model, Registry

__all__ = ["Served", "ServedModels"]

REFRESH = 1.0
YOUNG = 20_000
"""New objects after which the collector looks for cycles among them; by default 700, which a few requests have."""


@dataclass(frozen=True)
class Served:
    """A champion in memory."""

    detector: Detector
    model: Model

    @property
    def labels(self) -> list[str]:
        return list(self.model.manifest["entity"])

    @property
    def step(self) -> float:
        return float(self.model.manifest["step"])

    def admit(self, jobs: Jobs | None) -> None:
        """Raise RegistryError if the job is none of these; None for all."""
        if jobs is not None and not jobs.admits(self.model.job):
            raise RegistryError(f"no model of the job {self.model.job!r} is served")

    def check(self) -> None:
        """Raise RegistryError for a model that no training published: entity, step or training are wrong."""
        manifest = self.model.manifest
        labels, step = manifest.get("entity"), manifest.get("step")
        named = isinstance(labels, list) and all(isinstance(name, str) for name in labels)
        usable = isinstance(step, int | float) and 0.001 <= step <= 1e9
        if not (named and usable and isinstance(manifest.get("training"), dict) and "budget" in manifest):
            raise RegistryError(
                f"{self.model.version}: its manifest lacks entity, step, training or budget; train the job again"
            )


class ServedModels:
    """Base of scorers and explainers. A request keeps the model that it began with; the next gets the new one."""

    def __init__(self, registry: str, log_level: str = "INFO", live: LiveSource | None = None) -> None:
        set_up_logging(log_level)
        if live is not None:
            live.watch(type(self).__name__.lower())
        stay_on_loopback()
        self.log = get_logger("serving")
        self.registry = Registry(registry)
        self.models: dict[str, Served] = {}
        self._conditions: dict[str, Condition] = {}
        self.room = threading.Semaphore(max(2, os.cpu_count() or 2))
        self.litter = threading.Event()
        self.refresh()
        gc.collect()
        gc.freeze()  # what is there now stays: the collector need not go through it again and again
        gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
        threading.Thread(target=self._follow, name="champions", daemon=True).start()

    def refresh(self) -> None:
        """Load each champion that is new."""
        for job in self.registry.jobs():
            try:
                version = self.registry.champion(job)
                known = self.models.get(job)
                if version is not None and (known is None or known.model.version != version):
                    served = Served(*self.registry.load(job, version))
                    served.check()
                    self._warm_up(served)
                    self.models[job] = served
                    self.log.info("serving", job=job, version=version)
            except ForeshockError as exc:
                self._refused(job).raised(str(exc), job=job)
            else:
                self._refused(job).cleared(job=job)

    def _refused(self, job: str) -> Condition:
        wrong = "a champion cannot be served; the one before stays"
        return self._conditions.setdefault(job, Condition(self.log, wrong, "the champion is served"))

    def served(self, job: str, *, load: bool = True) -> Served:
        """The model of a job; one that has come just now is loaded, which takes a while, unless that is not wanted.

        Raises
        ------
        RegistryError
            None is served.
        """
        if load and job not in self.models:
            self.refresh()
        if job not in self.models:
            raise RegistryError(f"no model of the job {job!r} is served; {allowed(job, self.models)}")
        return self.models[job]

    @contextmanager
    def large(self) -> Iterator[None]:
        """A request that may take much memory: few of them at a time, and what they leave behind is collected soon.

        An error and the calls that led to it hold each other, and the body with them, until the collector comes by.
        """
        with self.room:
            try:
                yield
            finally:
                self.litter.set()

    def _follow(self) -> None:
        stop = threading.Event()
        away = Condition(self.log, "the registry is away; trying again", "the registry is back")
        while not stop.wait(REFRESH):
            if self.litter.is_set():
                self.litter.clear()
                gc.collect(1)
            try:
                self.refresh()
            except Exception as exc:  # the registry may be away for a while
                away.raised(describe_error(exc))
            else:
                away.cleared()

    def _warm_up(self, served: Served) -> None:
        """Score once, so that the first request does not wait for compiled code."""
        rows = served.detector.context + 2
        served.detector.score(Panel.of(np.zeros((rows, served.detector.n_features_in_))))
