"""Runs of jobs as Ray tasks, with their state, log and result in the store."""

from __future__ import annotations

import _thread
import os
import threading
from datetime import UTC, datetime
from typing import Any

from foreshock.logs import describe_error, get_logger, set_up_logging
from foreshock.runs.model import ACTIVE, Run
from foreshock.runs.repository import RunRepository
from foreshock.runs.work import WORK, Task
from foreshock.store import open_store
from foreshock.store.scope import Scope, within
from foreshock_models.errors import ConfigError, ForeshockError, allowed
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.promotion.policy import find_policy
from foreshock_pipelines.ray_errors import ray_errors
from foreshock_pipelines.registry import Registry

__all__ = ["execute", "launch"]

log = get_logger("runs")
BEAT_EVERY = 10.0
LOOK_EVERY = 1.0
"""How often a run looks whether it was cancelled."""
GRACE = 5.0
"""How long a cancelled run may take to unwind before its process is ended."""
MAX_LOG = 20_000


def launch(run: Run, job: Job, store_url: str, registry: str) -> Any:
    """Start a run that is noted in the store as queued; gives the Ray reference of its end."""
    import ray

    # it waits for tasks of its own, which need cores; its process ends with it, and all that it loaded
    task = ray.remote(num_cpus=0, max_retries=2, max_calls=1)(_in_worker)
    return task.options(name=f"{run.kind} {run.job}").remote(run.id, run.kind, job, store_url, registry)


def _in_worker(run_id: str, kind: str, job: Job, store_url: str, registry: str) -> dict[str, Any]:
    try:
        return execute(run_id, kind, job, store_url, registry)
    except KeyboardInterrupt:
        # the end of this process ends the tasks that the run started; Ray's second try finds the run over
        os._exit(1)


def execute(run_id: str, kind: str, job: Job, store_url: str, registry: str) -> dict[str, Any]:
    """Do a run.

    Raises
    ------
    KeyboardInterrupt
        Somebody cancelled it: it is interrupted wherever it is, as Ctrl-C would.
    """
    set_up_logging()
    store = open_store(store_url)
    runs = RunRepository(store)
    run = runs.update(run_id, state="running", beat=_now())
    if run.state not in ACTIVE:
        store.close()
        return {}  # cancelled, or given up, before this worker began
    lines: list[str] = []
    over = threading.Event()

    def note(line: str) -> None:
        lines.append(f"{_now():%H:%M:%S} {line}")
        runs.update(run_id, log="\n".join(lines)[-MAX_LOG:], beat=_now())

    watch = threading.Thread(target=_watch, args=(runs, run_id, over), name="watch", daemon=True)
    watch.start()

    def end(state: str, **changes: Any) -> None:
        over.set()  # first, so that the watch does not take this end for a cancellation
        runs.update(run_id, state=state, ended=_now(), **changes)

    try:
        work = WORK.get(kind)
        if work is None:
            raise ConfigError(f"runs of the kind {kind!r} cannot be executed; {allowed(kind, WORK)}")
        promotion = None if run.promotion is None else find_policy(run.promotion)
        with ray_errors(f"the {kind} run"), within(Scope(job.tenant)):
            result = work(Task(job, Registry(registry), store, note, promotion))
        end("succeeded", result=result)
        return result
    except ForeshockError as exc:
        log.error("run failed", job=job.name, kind=kind, run=run_id, error=str(exc))
        end("failed", error=str(exc))
        return {"error": str(exc)}
    except Exception as exc:
        log.error("run failed", job=job.name, kind=kind, run=run_id, error=describe_error(exc))
        end("failed", error=describe_error(exc))
        raise
    finally:
        over.set()
        watch.join(GRACE)
        store.close()


def _watch(runs: RunRepository, run_id: str, over: threading.Event) -> None:
    """Give signs of life, and interrupt the run when it is cancelled."""
    beats = 0.0
    while not over.wait(LOOK_EVERY):
        beats += LOOK_EVERY
        try:
            if beats < BEAT_EVERY:
                state = runs.get(run_id).state
            else:
                state, beats = runs.update(run_id, beat=_now()).state, 0.0
        except ForeshockError:
            continue  # the store is away for a while; the run goes on
        if over.is_set():
            return
        if state in ACTIVE:
            continue
        _thread.interrupt_main()
        if not over.wait(GRACE):  # it is deep in code that cannot be interrupted
            os._exit(1)
        return


def _now() -> datetime:
    return datetime.now(UTC)
