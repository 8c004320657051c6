"""``foreshock estimate``: what training would take, before anything is read."""

from __future__ import annotations

from foreshock.cli.app import app
from foreshock.cli.jobs import End, Start, times
from foreshock.cli.options import AsJson, ConfigPath, console, print_json


@app.command()
def estimate(config: ConfigPath, start: Start = None, end: End = "now", as_json: AsJson = False) -> None:
    """Say how many samples training would read and what memory it needs; reads none of them."""
    from foreshock_pipelines.datasets.source import open_source
    from foreshock_pipelines.jobfile import load_job
    from foreshock_pipelines.jobs.estimate import estimate as run

    job = load_job(config)
    source = open_source(job)
    source.check()
    found = run(job, source, *times(job, source, start, end))
    if as_json:
        print_json(found.as_dict())
        return
    each = found.rows // max(1, found.entities)
    console.print(
        f"{found.job}: {found.entities:,} entities x {found.features} features x {each:,} rows: "
        f"{found.samples:,} samples to read",
        highlight=False,
    )
    verdict = "it fits" if found.fits else "[red]it does not fit[/]"
    console.print(
        f"memory: about {found.memory / 1e9:.1f} GB; {found.available / 1e9:.1f} GB are free: {verdict}",
        highlight=False,
    )
