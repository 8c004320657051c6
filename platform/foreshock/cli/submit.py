"""``foreshock submit``: the same commands on a Ray cluster elsewhere."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreshock.cli.app import app
from foreshock.cli.console import stream, tell
from foreshock.cli.options import ConfigPath

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

KINDS = ("train", "tune", "forecast", "backtest", "score")
PASSED_ON = ("FORESHOCK_STORE_URL", "FORESHOCK_REGISTRY_URI", "PROMETHEUS_URL")
PATIENCE = 60.0
"""Seconds in which a cluster that has only just started must begin to take jobs."""
SECONDS_BETWEEN = 2.0


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def submit(
    context: typer.Context,
    command: Annotated[str, typer.Argument(help=f"One of {', '.join(KINDS)}; its own options may follow.")],
    config: ConfigPath,
    address: Annotated[str, typer.Option(help="Of the cluster's dashboard, as in http://head:8265.")],
) -> None:
    """Run a command as a Ray job, and show its log until it ends.

    The cluster's machines need Foreshock installed. The job file travels with the job; of the environment,
    where models and state are kept, and PROMETHEUS_URL.
    """
    from ray.job_submission import JobSubmissionClient

    from foreshock_models.errors import ConfigError, JobError, allowed
    from foreshock_pipelines.jobfile import load_job

    if command not in KINDS:
        raise ConfigError(f"submit: {command!r} cannot be submitted; {allowed(command, KINDS)}")
    load_job(config)  # a mistake in it is said here, not on the cluster
    try:
        client = JobSubmissionClient(address)
    except (ConnectionError, RuntimeError) as exc:
        raise JobError(f"{address}: no Ray cluster answers there: {exc}") from exc
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(config, Path(folder) / "job.yaml")
        words = ["python", "-m", "foreshock", command, "-c", "job.yaml", *context.args]
        job_id = _submit(
            client,
            shlex.join(words),
            {
                "working_dir": folder,
                "env_vars": {name: os.environ[name] for name in PASSED_ON if name in os.environ},
            },
        )
    tell(f"{job_id} on {address}")

    async def follow() -> None:
        async for lines in client.tail_job_logs(job_id):
            stream(lines)

    try:
        asyncio.run(follow())
    except KeyboardInterrupt:
        client.stop_job(job_id)
        raise
    status = str(client.get_job_status(job_id))
    if status != "SUCCEEDED":
        raise JobError(f"{job_id} ended as {status}: {client.get_job_info(job_id).message}")


def _submit(client: JobSubmissionClient, entrypoint: str, environment: dict[str, Any]) -> str:
    """Hand the job over; a cluster that has only just started asks to be tried again."""
    from foreshock_models.errors import JobError

    deadline = time.monotonic() + PATIENCE
    said = False
    while True:
        try:
            return client.submit_job(entrypoint=entrypoint, runtime_env=environment)
        except RuntimeError as exc:
            if "try again later" not in str(exc):
                raise JobError(f"the cluster did not take the job: {exc}") from exc
            if time.monotonic() > deadline:
                raise JobError(
                    f"the cluster took no job within {PATIENCE:g} s: the agent on its head node does not answer; "
                    "if another Ray runs on that machine, start this one with another --dashboard-agent-listen-port"
                ) from exc
        if not said:
            tell("the cluster takes no jobs yet; trying again")
            said = True
        time.sleep(SECONDS_BETWEEN)
