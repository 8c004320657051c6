"""``foreshock estimate``: what a job would take, before anything is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foreshock.cli.app import app
from foreshock.cli.console import say, show_json
from foreshock.cli.formats import count, number, span
from foreshock.cli.jobs import End, Start, times
from foreshock.cli.options import AsJson, ConfigPath
from foreshock.cli.progress import stage_line

if TYPE_CHECKING:
    from foreshock_pipelines.jobfile import Job
    from foreshock_pipelines.sources.protocol import Source


@app.command()
def estimate(config: ConfigPath, start: Start = None, end: End = "now", as_json: AsJson = False) -> None:
    """Say what training would read, hold in memory and take, and what scoring takes; reads no samples.

    Times come from a trial of the job's detectors on synthetic rows, which is kept for the next time.
    """
    from foreshock.settings import load_settings
    from foreshock_pipelines.jobfile import load_job
    from foreshock_pipelines.jobs.estimate import estimate as run
    from foreshock_pipelines.resources.costs import costs_of
    from foreshock_pipelines.sources import open_source

    job = load_job(config)
    source = open_source(job)
    source.check()
    first, last = times(job, source, start, end)
    silent = _silent(job, source)
    with stage_line("trying the detectors on synthetic rows"):
        costs = costs_of(job, load_settings().home / "costs.json")
    found = run(job, source, first, last, costs)
    if as_json:
        show_json(found.as_dict())
        return
    if silent:
        say((f"no series at present: {', '.join(silent)}", "yellow"))
    each = found.rows // max(1, found.entities)
    verdict = "it fits" if found.fits else ("it does not fit", "red")
    say(
        f"{found.job}: {count(found.entities, 'entity')} x {count(found.features, 'feature')} "
        f"x {count(each, 'row')}: {found.samples:,} samples to read"
    )
    say(f"memory: about {found.memory / 1e9:.1f} GB; {found.available / 1e9:.1f} GB are free: ", verdict)
    say(
        f"training: about {span(found.training_seconds or 0.0)} on {number(found.cores)} cores, "
        "once Ray runs and the samples are read"
    )
    cores = found.scoring_cores or 0.0
    busy = f"about {cores:.2f}" if cores >= 0.01 else "less than 0.01"
    say(f"scoring every {number(job.score_every)} s: {busy} cores, besides reading")


def _silent(job: Job, source: Source) -> list[str]:
    """Features that have no series at present.

    Raises
    ------
    NoSamples
        None has one: an estimate of nothing would say that everything fits.
    """
    from foreshock_models.errors import NoSamples

    counts = source.discover()
    silent = [name for name, count in counts.items() if not count]
    if len(silent) == len(counts):
        raise NoSamples(
            f"{job.name}: no query gives a series at present ({', '.join(silent)}); see what each gives with: "
            "foreshock config validate --online"
        )
    return silent
