"""``foreshock demo``: the whole path on a synthetic fleet with incidents of known cause."""

from __future__ import annotations

import json
import shlex
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foreshock.alerts.repository import AlertRepository
from foreshock.cli.app import app
from foreshock.cli.console import say
from foreshock.cli.formats import count, number, share
from foreshock.cli.options import settings_for_ray
from foreshock.cli.progress import stage_line
from foreshock.scoring.checkpoint import CheckpointRepository

if TYPE_CHECKING:
    from foreshock.alerts.model import Alert
    from foreshock.settings import Settings
    from foreshock.store import Store
    from foreshock.up import Running
    from foreshock_pipelines.datasets.demo import Incident
    from foreshock_pipelines.datasets.windows import Windows
    from foreshock_pipelines.jobfile import Job

REPLAY_EVERY = 600.0
"""Seconds of the past in one scoring pass of the replay."""


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the replay.")] = False,
    hosts: Annotated[int, typer.Option(min=2, max=500, help="Size of the fleet.")] = 20,
    days: Annotated[float, typer.Option(min=1, max=60, help="Days of history.")] = 7,
    hours: Annotated[float, typer.Option(min=1, max=48, help="Hours that are replayed.")] = 6,
    incidents: Annotated[int, typer.Option(min=1, max=100, help="Incidents to plant.")] = 8,
    seed: Annotated[int, typer.Option(help="Another seed is another fleet.")] = 7,
    port: Annotated[int | None, typer.Option(help="Default 8700, or FORESHOCK_PORT.")] = None,
) -> None:
    """Make a fleet with incidents, train on it, serve, and replay its last hours."""
    began = time.perf_counter()
    base = settings_for_ray(port=port)
    from foreshock.api.authentication import present_token
    from foreshock.cli.up import wait_for_stop
    from foreshock.runtime.compiling import compiling
    from foreshock.runtime.control_loop import Replay
    from foreshock.runtime.home import open_home
    from foreshock.store import open_store
    from foreshock.up import bring_up, ray_cluster
    from foreshock_pipelines.datasets.demo import demo_fleet
    from foreshock_pipelines.jobs.train import train
    from foreshock_pipelines.registry import Registry

    present_token(base)  # a wrong one is told before anything starts
    home = base.home / "demo"
    open_home(base.home)
    shutil.rmtree(home, ignore_errors=True)  # each demo begins with an empty home; nothing else lives there
    open_home(home)
    settings = base.model_copy(update={"home": home, "store_url": None, "registry_uri": None, "log_level": "ERROR"})
    windows, planted = demo_fleet(
        hosts=hosts, days=days, incidents=min(incidents, hosts - 1), incident_hours=hours, seed=seed,
        cascades=2 if hosts >= 10 else 0,
    )  # fmt: skip
    job, file = write_job(home, windows, hosts)
    say(f"fleet: {windows!r}")
    replayed = Replay(windows.end - timedelta(hours=hours), windows.end, REPLAY_EVERY)
    with compiling() as kernels, ray_cluster(settings, num_cpus=4, serving=True) as own:
        with stage_line("starting; training") as note, ThreadPoolExecutor(1) as pool:
            # the training, which takes longer, stays in this thread: there Ctrl-C ends it
            starting = pool.submit(
                bring_up, settings, {job.name: job}, files={job.name: file}, replay=replayed, own_cluster=own
            )
            kernels.wait(note.steps)
            train(job, Registry(settings.registry), end=replayed.start, progress=note, steps=note.steps)
            running = starting.result()
        store = open_store(settings.store)
        first = _watch(store, running, job, began)
        _verdict(store, job, planted, hours, hosts)
        if first is not None:
            say(f"first alert {first:.0f} s after the start")
        _show_calls(settings, running, windows, store, job)
        if not once:
            say()
            say("It goes on running; Ctrl-C stops it.")
            wait_for_stop()


def write_job(home: Path, windows: Windows, hosts: int) -> tuple[Job, Path]:
    """Write the rows and the job file of the demo, an ordinary one, into its home."""
    from foreshock_pipelines.datasets.demo import demo_calls
    from foreshock_pipelines.jobfile import load_job

    windows.write_parquet(home / "fleet.parquet")
    lines = [
        "name: demo",
        "source: {parquet: fleet.parquet}",
        "queries:",
        *(f"  {name}: {query}" for name, query in windows.queries.items()),
        "entity: [instance]",
        f"step: {windows.step:g}s",
        "false_alerts: 1 per week",
    ]
    if calls := demo_calls(hosts):  # fewer than five hosts call nobody
        lines.append(f"topology: {{calls: {json.dumps(calls)}}}")
    file = home / "demo.yaml"
    file.write_text("\n".join(lines) + "\n")
    return load_job(file), file


def _watch(store: Store, running: Running, job: Job, began: float) -> float | None:
    """Show alerts as they open, until the replay is over; gives the seconds to the first one."""
    import ray

    first: float | None = None
    shown: set[str] = set()
    said = None
    say(("alerts", "bold"))
    while True:
        status = ray.get(running.control_loop.status.remote())
        problem = status["jobs"][job.name]["problem"]
        fresh = [
            a for a in reversed(AlertRepository(store).list(job=job.name, limit=500).alerts) if a.id not in shown
        ]
        for alert in fresh:
            shown.add(alert.id)
            if alert.kind == "anomaly" and first is None:
                first = time.perf_counter() - began
            _show_alert(alert)
        if not status["replaying"] and _caught_up(store, job, status):
            return first
        if problem and problem != said:
            say((problem, "red"))
        said = problem
        time.sleep(0.25)


def _caught_up(store: Store, job: Job, status: dict[str, Any]) -> bool:
    known = CheckpointRepository(store).get(job.name)
    now = datetime.fromisoformat(status["now"]).timestamp() * 1000
    return known is not None and known.scored_ms >= now - 2 * job.step_seconds * 1000 - 60_000


def _show_alert(alert: Alert) -> None:
    start = f"{_time(alert.opened_ms):%H:%M}  {alert.entity}  "
    if alert.kind != "anomaly":
        say((f"{start}{alert.kind}: {alert.summary}", "dim"))
        return
    pieces: list[str | tuple[str, str]] = [f"{start}{alert.peak:.2f}  "]
    for at, cause in enumerate(c for c in alert.causes[:2] if c["share"] >= 0.15):
        told = f" {share(cause['share'])}: {number(cause['observed'])}, usual {number(cause['expected'])}"
        pieces += ["; " if at else "", (cause["feature"], "bold"), told]
    say(*pieces)


def _verdict(store: Store, job: Job, planted: list[Incident], hours: float, hosts: int) -> None:
    """Compare the alerts with the incidents that were injected."""
    alerts = AlertRepository(store).list(job=job.name, kind="anomaly", limit=500).alerts
    found, named, explained = 0, 0, set()
    for incident in planted:
        hits = [a for a in alerts if _hits(a, incident)]
        explained |= {a.id for a in hits}
        if hits:
            found += 1
            causes = min(hits, key=lambda a: a.opened_ms).causes
            named += bool(causes) and causes[0]["feature"] in incident.causes
        else:
            say(f"not found: {incident.kind} on {incident.entity} at {incident.start:%H:%M}")
    false = len(alerts) - len(explained)
    allowed = job.budget.per_entity(hosts).alerts_per_day * hosts * hours / 24
    say(
        (f"{found} of {len(planted)} incidents found", "bold"),
        f", the top attribution named the cause in {named}; "
        f"{false} false alerts (the budget allows {allowed:.1f} in {number(hours)} h on {hosts} hosts)",
    )
    _verdict_of_incidents(store, planted)


def _verdict_of_incidents(store: Store, planted: list[Incident]) -> None:
    """Say how many incidents all alerts became, and whether a cascade is one that names where it began."""
    from foreshock.incidents.repository import IncidentRepository

    incidents = [i for i in IncidentRepository(store).list(limit=500).incidents if i.state != "merged"]
    if not incidents:
        return
    cascades = [each for each in planted if each.followers]
    named = sum(
        any(i.alerts > 1 and i.causes and i.causes[0]["node"] == each.entity for i in incidents)
        for each in cascades
    )
    spread = ""
    if cascades:
        spread = f"; of {len(cascades)} that spread to callers, {named} name the host where it began"
    say(f"{count(len(incidents), 'incident')} in all{spread}: foreshock incidents list")


def _hits(alert: Alert, incident: Incident) -> bool:
    after = incident.end + timedelta(minutes=10)  # the score is a mean over the last rows
    return (
        alert.entity in (incident.entity, *incident.followers) and incident.start <= _time(alert.opened_ms) <= after
    )


def _show_calls(settings: Settings, running: Running, windows: Windows, store: Store, job: Job) -> None:
    """Ready requests, on a window around the first alert."""
    import orjson

    from foreshock.clock import iso

    alerts = AlertRepository(store).list(job=job.name, kind="anomaly", limit=500).alerts
    entity = alerts[-1].entity if alerts else windows.entities[0]
    end = alerts[-1].opened_ms + 300_000 if alerts else windows.end_ms
    part = windows.select([entity]).between(end - 120 * 60_000, end)
    window = {
        "entity": entity,
        "timestamps": [iso(ms) for ms in part.to_panel().timestamps.tolist()],
        "values": {f: part.table.column(f).to_pylist() for f in part.features},
    }
    (settings.home / "score.json").write_bytes(orjson.dumps({"job": job.name, "windows": [window]}))
    (settings.home / "explain.json").write_bytes(orjson.dumps({"job": job.name, "window": window}))
    say()
    say(f"API: {running.url}/docs   token: {running.token}", whole=True)
    for name in ("score", "explain"):
        say(
            f"curl -s {running.url}/ai/{name} -H 'Authorization: Bearer {running.token}' "
            f"-H 'Content-Type: application/json' -d {shlex.quote(f'@{settings.home}/{name}.json')}",
            whole=True,
        )


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
