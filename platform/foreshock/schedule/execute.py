"""Runs of jobs as Ray tasks, with their state, log and result in the store."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

from foreshock.logs import set_up_logging
from foreshock.schedule.runs import Run
from foreshock.store import open_store
from foreshock.store.runs import StoredRuns
from foreshock_models.errors import ConfigError, ForeshockError
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.registry import Registry

__all__ = ["execute", "launch"]

BEAT_EVERY = 10.0
MAX_LOG = 20_000


def launch(run: Run, job: Job, store_url: str, registry: str) -> Any:
    """Start a run that is noted in the store as queued; gives the Ray reference of its end."""
    import ray

    task = ray.remote(num_cpus=0.2, max_retries=2)(execute)
    return task.options(name=f"{run.kind} {run.job}").remote(run.id, run.kind, job, store_url, registry)


def execute(run_id: str, kind: str, job: Job, store_url: str, registry: str) -> dict[str, Any]:
    """Do a run; a cancelled one stops at its next line of progress."""
    set_up_logging()
    store = open_store(store_url)
    runs = StoredRuns(store)
    runs.update(run_id, state="running", beat=_now())
    lines: list[str] = []
    over = threading.Event()

    def note(line: str) -> None:
        if runs.get(run_id).state == "cancelled":
            raise _Cancelled
        lines.append(f"{_now():%H:%M:%S} {line}")
        runs.update(run_id, log="\n".join(lines)[-MAX_LOG:], beat=_now())

    def beat() -> None:
        while not over.wait(BEAT_EVERY):
            runs.update(run_id, beat=_now())

    threading.Thread(target=beat, name="beat", daemon=True).start()
    try:
        result = _do(kind, job, Registry(registry), note)
        runs.update(run_id, state="succeeded", ended=_now(), result=result)
        return result
    except _Cancelled:
        return {}
    except ForeshockError as exc:
        runs.update(run_id, state="failed", ended=_now(), error=str(exc))
        return {"error": str(exc)}
    except Exception as exc:
        runs.update(run_id, state="failed", ended=_now(), error=f"{type(exc).__name__}: {exc}")
        raise
    finally:
        over.set()
        store.close()


def _do(kind: str, job: Job, registry: Registry, note: Any) -> dict[str, Any]:
    if kind == "train":
        from foreshock_pipelines.jobs.train import train

        return train(job, registry, progress=note).as_dict()
    raise ConfigError(f"runs of the kind {kind!r} cannot be executed")


class _Cancelled(Exception):
    """Somebody cancelled the run."""


def _now() -> datetime:
    return datetime.now(UTC)
