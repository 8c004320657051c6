"""The Ray Serve application, and how it is started."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from foreshock.api.authentication import api_token
from foreshock.api.authorization import require
from foreshock.api.errors import Problem
from foreshock.api.explainer import Explainer
from foreshock.api.fast_path.batching import Batcher
from foreshock.api.request_body import BodyMemory
from foreshock.api.routes import api
from foreshock.api.scorer import Scorer
from foreshock.configuration.watch import LiveSource
from foreshock.identity.model import Jobs, Principal
from foreshock.identity.tokens import token_digest
from foreshock.logs import get_logger
from foreshock.settings import LiveSettings, Settings
from foreshock.store.scope import DEFAULT_TENANT
from foreshock_models.errors import ForeshockError, InstallationError, RegistryError, allowed
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.promotion.policy import ALWAYS
from foreshock_pipelines.ray_errors import cause_of
from foreshock_pipelines.registry import Registry

__all__ = ["APPLICATION", "Ingress", "serve_application"]

APPLICATION = "foreshock"
ATTEMPTS = 2
FEW_ROWS = 500
"""So many rows are scored in the ingress itself: some milliseconds."""
SMALL = 256 * 2**10
"""Bytes of JSON that are read in the ingress itself; a longer text keeps the other requests waiting."""
BODIES = 4
"""Bodies of the largest size that an ingress holds at a time."""
WAITING = 200
"""Requests that wait in an ingress for a scorer, or for an explainer; more are refused (503)."""
LOOPBACK = "127.0.0.1"
log = get_logger("serving")


class Ingress:
    """Authentication, validation, routing, and the scores of few rows.

    To hand a small window to another replica costs more than to score it. Many rows go to the scorers, and what is
    to be explained to the explainers, so that neither keeps small requests waiting.
    """

    def __init__(
        self,
        scorer: Any,
        explainer: Any,
        digest: str,
        settings: Settings,
        jobs: Mapping[str, Job],
        files: Mapping[str, Path],
    ) -> None:
        from foreshock.api.identity import Identity
        from foreshock.api.readiness import StoreProbe
        from foreshock.runs.repository import RunRepository
        from foreshock.store.store import store_at

        self.here = Scorer(settings.registry, settings.log_level)
        self.batcher = Batcher()
        self.scorer = scorer
        self.explainer = explainer
        self.settings = settings
        self.max_body = settings.max_body
        self.body_memory = BodyMemory(BODIES * settings.max_body)
        self.url = settings.url
        self.jobs = dict(jobs)
        self.files = dict(files)
        self.foreign = frozenset(name for name, job in jobs.items() if job.tenant != DEFAULT_TENANT)
        self.models = Registry(settings.registry)
        self.store = store_at(settings.store)  # scores are given while it is away, too
        self.store_probe = StoreProbe(self.store, log)
        self.runs = RunRepository(self.store)
        self.identity = Identity(self.store, settings, digest)
        self.verifier = self.identity.verifier
        self.live = LiveSource.of(settings).watch("api", self.change, self.store)

    def change(self, live: LiveSettings) -> None:
        """Take up settings that were changed."""
        self.identity.limits.change(live)
        self.max_body, self.body_memory.most = live.max_body, BODIES * live.max_body

    def jobs_for(self, principal: Principal, permission: str) -> Jobs | None:
        """Return the jobs that somebody has a permission for; None: all that there are."""
        patterns = principal.jobs(permission)
        if principal.tenant != DEFAULT_TENANT:
            own = frozenset(name for name, job in self.jobs.items() if job.tenant == principal.tenant)
            return Jobs(patterns, only=own)
        return Jobs(patterns, without=self.foreign) if patterns is not None or self.foreign else None

    def reach(self, principal: Principal, permission: str, job: str) -> None:
        """Refuse a job that is another tenant's (404), or that a permission is not held for (403)."""
        require(principal, permission, job)
        jobs = self.jobs_for(principal, permission)
        if jobs is not None and not jobs.admits(job):
            raise Problem(404, f"no job {job!r} here")

    async def unready(self) -> str | None:
        """Return what is missing for its work, in words that tell nothing of this installation."""
        if not self.here.describe():
            return "no model is served yet"
        if not await self.store_probe.answers():
            return "the store does not answer; the log says why"
        return None

    async def served(self) -> list[dict[str, Any]]:
        return self.here.describe()

    async def score(self, data: bytes, jobs: Jobs | None = None) -> bytes:
        """The answer, as JSON, to the JSON body of a `ScoreRequest`; `jobs`: those that may be asked."""
        if jobs is None:
            return await self._score(data, None)
        with unnamed(jobs):
            return await self._score(data, jobs)

    async def _score(self, data: bytes, jobs: Jobs | None) -> bytes:
        request = None
        if len(data) <= SMALL:
            try:
                request = self.here.parse_if_few(data, FEW_ROWS, load=False)
            except RegistryError:  # or its model has come just now: to load it takes a while
                request = await asyncio.to_thread(self.here.parse_if_few, data, FEW_ROWS)
        if request is not None:
            request.served.admit(jobs)
            return await self.batcher.score(request.served, request.panel, request.last)
        return await self._bytes(lambda: self.scorer.score_json.remote(data, jobs))

    async def score_arrow(self, job: str, data: bytes, last: int | None) -> bytes:
        return await self._bytes(lambda: self.scorer.score_arrow.remote(job, data, last))

    async def explain(self, data: bytes, jobs: Jobs | None = None) -> Any:
        with unnamed(jobs):
            return await self._elsewhere(lambda: self.explainer.explain.remote(data, jobs))

    async def _bytes(self, call: Callable[[], Any]) -> bytes:
        answer: bytes = await self._elsewhere(call)
        return answer

    async def _elsewhere(self, call: Callable[[], Any]) -> Any:
        try:
            return await _ask(call)
        finally:
            self.here.litter.set()

    async def train(self, name: str) -> tuple[str, str | None]:
        """Start training; gives the id of the run, and why the job's file is not what is trained, if so."""
        from foreshock.runs.execution import launch

        if name not in self.jobs:
            raise Problem(404, f"no job {name!r} here; {allowed(name, self.jobs)}")
        job, refused = await self._staged(name)
        now = datetime.now(UTC)
        # a person asks for it: the model serves at once
        run = await asyncio.to_thread(
            self.runs.begin, name, "train", now, now=now, cause="http", promotion=ALWAYS.name
        )
        if run is None:
            raise Problem(409, f"a training run of {name!r} is under way already; see foreshock runs list")
        launch(run, job, self.settings.store, self.settings.registry)
        return run.id, refused

    async def _staged(self, name: str) -> tuple[Job, str | None]:
        """A job as its file says now; if that is invalid, the job in force, and the reason."""
        from foreshock.api.routers.jobs import ask_control_loop
        from foreshock.runtime.job_files import load_changed_job

        if name not in self.files:
            return self.jobs[name], None
        try:
            return await asyncio.to_thread(load_changed_job, name, self.files[name]), None
        except ForeshockError as exc:
            return await ask_control_loop("job", name) or self.jobs[name], str(exc)

    def run(self, run_id: str) -> dict[str, Any]:
        if "\0" in run_id:
            raise Problem(404, "no such run")
        return self.runs.get(run_id).as_json()

    async def metrics(self, utf8: bool = False) -> str:
        """Prometheus' text format; `utf8` as `scrape` has it."""
        from foreshock.api.exposition import scrape

        return await scrape(self, utf8=utf8)


async def _ask(call: Callable[[], Any]) -> Any:
    """An answer of another replica; its errors as they were raised there.

    If one dies, another is asked, once: scoring and explaining change nothing, and a request that brings down who
    answers it shall not go on to the next one, and the next.
    """
    from ray.exceptions import RayActorError, RayTaskError
    from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

    for attempt in range(ATTEMPTS):
        try:
            return await call()
        except RayTaskError as exc:
            cause = cause_of(exc)
            if isinstance(cause, ForeshockError | Problem):
                raise cause from None
            raise
        except (BackPressureError, DeploymentUnavailableError) as exc:
            raise Problem(503, "too many requests wait already; try again in a moment") from exc
        except RayActorError as exc:
            if attempt == ATTEMPTS - 1:
                raise Problem(503, "the process that answers has died; try again in a moment") from exc
            await asyncio.sleep(0.1)
    raise AssertionError("the last attempt returns or raises")


def serve_application(
    settings: Settings,
    jobs: Mapping[str, Job],
    files: Mapping[str, Path] | None = None,
    *,
    behind_proxy: bool = False,
) -> tuple[str, bool]:
    """Bring up the application on a running Ray; gives the API token and whether it is new.

    Parameters
    ----------
    files
        Job name to its file, which is read again when a training is asked for.
    behind_proxy
        A cluster that `ray_cluster` started: all but the proxy listens on loopback, whatever the host is.
    """
    from ray import serve
    from ray.serve.schema import LoggingConfig

    from foreshock.store import open_store

    open_store(settings.store).close()  # with its tables, before replicas use it
    logging.getLogger("ray.serve").setLevel(logging.ERROR)  # importing it sets another level
    token, new = api_token(settings)
    options = {"num_cpus": 0}  # what always runs keeps no core from training; Ray lets each use one thread

    most = settings.max_replicas
    # what is bounded in the ingress itself (large bodies, and what waits for others) must not keep Serve from
    # passing on a look at its health
    ingress: Any = serve.deployment(ray_actor_options=options, max_ongoing_requests=10_000, **_replicas(most, 16))(
        serve.ingress(api())(Ingress)
    )
    waiting: dict[str, Any] = {"ray_actor_options": options, "max_queued_requests": WAITING}
    scorer: Any = serve.deployment(max_ongoing_requests=64, **waiting, **_replicas(most, 4))(Scorer)
    explainer: Any = serve.deployment(max_ongoing_requests=16, **waiting, **_replicas(most, 2))(Explainer)
    with _start_errors():
        serve.start(http_options={"host": LOOPBACK if behind_proxy else settings.host, "port": settings.port})
        live = LiveSource.of(settings)
        safe = settings.model_copy(update={"api_token": None})
        serve.run(
            ingress.bind(
                scorer.bind(settings.registry, settings.log_level, live),
                explainer.bind(settings.registry, settings.log_level, live),
                token_digest(token), safe, dict(jobs), dict(files or {}),
            ),
            name=APPLICATION, route_prefix="/",
            # a line for each request, in a file of Ray's, takes as long as to read the request's JSON
            logging_config=LoggingConfig(enable_access_log=settings.log_level == "DEBUG"),
        )  # fmt: skip
    _wait_until_up(settings)
    return token, new


@contextmanager
def unnamed(jobs: Jobs | None) -> Iterator[None]:
    """Name no job in an error, if not all of them may be asked."""
    try:
        yield
    except RegistryError as exc:
        if jobs is None:
            raise
        raise Problem(404, "no model of that job is served, or you may not ask it") from exc


@contextmanager
def _start_errors() -> Iterator[None]:
    """Errors of Ray Serve at its start, as one line each."""
    import ray

    try:
        yield
    except (ray.exceptions.RayError, RuntimeError) as exc:
        cause = getattr(exc, "cause", None) or exc
        lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
        said = next((line for line in lines if "[ALERT]" in line), lines[-1] if lines else type(cause).__name__)
        raise InstallationError(f"the HTTP API could not be started: {said}") from exc


def _replicas(most: int, ongoing: int) -> dict[str, Any]:
    """Number of replicas: one, or as many as keep each at about `ongoing` requests at a time."""
    if most == 1:
        return {"num_replicas": 1}
    scaling = {"min_replicas": 1, "max_replicas": most, "target_ongoing_requests": ongoing, "upscale_delay_s": 10.0}
    return {"autoscaling_config": scaling}


def _wait_until_up(settings: Settings, seconds: float = 60.0) -> None:
    import httpx

    deadline = time.monotonic() + seconds
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(settings.host, settings.host)
    scheme = "http" if settings.tls_certificate is None else "https"
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}/healthz"
    # one client: to make it costs more than to ask; the certificate is for another name, and nothing is told there
    with httpx.Client(timeout=2.0, trust_env=False, verify=False) as client:
        while True:
            try:
                if client.get(url).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            if time.monotonic() > deadline:
                raise ForeshockError(f"the HTTP API did not answer on {url} within {seconds:g} s")
            time.sleep(0.1)
