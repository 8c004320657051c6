"""``foreshock up | serve``: what runs all the time."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foreshock.cli.app import app
from foreshock.cli.console import say
from foreshock.cli.options import settings_for_ray
from foreshock.cli.progress import stage_line

if TYPE_CHECKING:
    from foreshock.settings import Settings
    from foreshock.up import Running
    from foreshock_pipelines.jobfile import Job

Paths = Annotated[list[Path], typer.Option("--config", "-c", help="Job files, or folders of them.")]
Port = Annotated[int | None, typer.Option(help="Default 8700, or FORESHOCK_PORT.")]
Host = Annotated[str | None, typer.Option(help="Default 127.0.0.1, or FORESHOCK_HOST.")]


@app.command()
def up(config: Paths, host: Host = None, port: Port = None) -> None:
    """Run it all: the HTTP API, scheduled training, a scoring loop per job, alerts."""
    _run(config, host, port, scoring=True)


@app.command()
def serve(config: Paths, host: Host = None, port: Port = None) -> None:
    """Run the HTTP API alone."""
    _run(config, host, port, scoring=False)


def _run(config: list[Path], host: str | None, port: int | None, *, scoring: bool) -> None:
    settings = settings_for_ray(host=host, port=port)
    from foreshock.api.authentication import present_token
    from foreshock.runtime.audit_retention import pseudonymising
    from foreshock.runtime.compiling import compiling
    from foreshock.runtime.reach import check_reach
    from foreshock.up import bring_up, ray_cluster

    check_reach(settings)  # what is wrong is told before anything starts
    present_token(settings)
    jobs, files = jobs_of(config)
    with compiling() as kernels, ray_cluster(settings, serving=True) as own:
        with stage_line("starting") as note:
            kernels.wait(note.steps)  # else each process compiles the same
            running = bring_up(settings, jobs, files=files, scoring=scoring, own_cluster=own)
        announce(settings, running, jobs)
        with pseudonymising(settings):
            wait_for_stop()
        say("stopping")


def jobs_of(paths: list[Path]) -> tuple[dict[str, Job], dict[str, Path]]:
    """Jobs of files and folders, and the file of each; a link stays one, for what it leads to may be replaced."""
    from foreshock.runtime.job_checks import load_job_for_run
    from foreshock_pipelines.jobfile import load_files

    found = load_files(paths, load=load_job_for_run)
    return {name: job for name, (job, _) in found.items()}, {
        name: file.absolute() for name, (_, file) in found.items()
    }


def announce(settings: Settings, running: Running, jobs: dict[str, Job]) -> None:
    """Say where it listens, and the token on the first start."""
    say(("Foreshock", "bold"), f" on {running.url}  (API: {running.url}/docs)", whole=True)
    if running.new_token:
        say(f"API token, made now and kept in {settings.home / 'api-token'}:", whole=True)
        say(f"  {running.token}", whole=True)
    if running.password:
        say("administrator, made now; this password is shown once, and is to be changed at the first login:")
        say(f"  admin  {running.password}", whole=True)
    say(f"jobs: {', '.join(jobs)}. Ctrl-C stops.")


def wait_for_stop() -> None:
    """Until Ctrl-C or SIGTERM."""
    stopped: list[int] = []  # an Event would deadlock: its lock is held while the handler runs
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda got, _: stopped.append(got)) for number in numbers}
    try:
        while not stopped:
            time.sleep(0.2)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
