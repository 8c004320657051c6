"""``foreshock doctor``: whether an installation can run, and who can reach it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from foreshock.cli.app import app
from foreshock.cli.console import show_json, show_table
from foreshock.cli.options import AsJson

STYLES = {"ok": "", "note": "yellow", "wrong": "red"}


@app.command()
def doctor(
    config: Annotated[
        list[Path] | None, typer.Option("--config", "-c", help="Job files, or folders of them: ask their sources.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check versions, home, store, models, Ray, open ports and sources. Exit code 1: something is wrong."""
    from foreshock.doctor import examine
    from foreshock.runtime.job_checks import load_job_for_run
    from foreshock.settings import load_settings
    from foreshock_pipelines.jobfile import load_files

    jobs = [job for job, _ in load_files(config, load=load_job_for_run).values()] if config else []
    found = list(examine(load_settings(), jobs))
    if as_json:
        show_json([asdict(one) for one in found])
    else:
        rows = [(one.check, one.state, one.text) for one in found]
        show_table(("check", "state", "found"), rows, styles=[STYLES[one.state] for one in found])
    if any(one.state == "wrong" for one in found):
        raise typer.Exit(1)
