"""``foreshock incidents``: look at incidents, and handle them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from foreshock.cli.app import app
from foreshock.cli.console import say, show_json, show_table, stream, tell
from foreshock.cli.formats import count, moment
from foreshock.cli.options import AsJson, By, Limit, OptionalJob, Why, the_store

if TYPE_CHECKING:
    from foreshock.incidents.model import Incident
    from foreshock.store import Store

incidents = typer.Typer(help="Incidents: list, show, handle, merge, split.", no_args_is_help=True)
app.add_typer(incidents, name="incidents")

IncidentId = Annotated[str, typer.Argument(metavar="INCIDENT", help="Id of an incident, or its beginning.")]
Severity = Literal["info", "warning", "critical"]


@incidents.command("list")
def incidents_list(
    state: Annotated[
        Literal["open", "acknowledged", "resolved", "merged", "live"] | None,
        typer.Option(help="In this state only; live: open or acknowledged."),
    ] = None,
    severity: Annotated[Severity | None, typer.Option(help="Of this severity only.")] = None,
    job: OptionalJob = None,
    assignee: Annotated[str | None, typer.Option(help="Handled by this person only.")] = None,
    limit: Limit = 50,
    before: Annotated[int | None, typer.Option(help="The next page, as the page before named it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Incidents, the newest first."""
    from foreshock.incidents.repository import IncidentRepository

    page = IncidentRepository(the_store()).list(
        state=state, severity=severity, job=job, assignee=assignee, before=before, limit=limit
    )
    if as_json:
        show_json({"incidents": [i.as_json(_url()) for i in page.incidents], "next": page.next})
        return
    rows = [
        (i.id, moment(i.first_ms), i.state, i.severity, str(i.alerts), i.assignee or "", i.title)
        for i in page.incidents
    ]
    show_table(("id", "since (UTC)", "state", "severity", "alerts", "handled by", "title"), rows)
    if page.next is not None:
        tell(f"more: --before {page.next}")


@incidents.command("show")
def incidents_show(incident: IncidentId, as_json: AsJson = False) -> None:
    """One incident with its root causes, its alerts, why each belongs to it, and its timeline."""
    from foreshock.incidents.repository import IncidentRepository
    from foreshock.incidents.view import whole

    store = the_store()
    found = whole(IncidentRepository(store), _id(store, incident), _url())
    if as_json:
        show_json(found)
        return
    say((found["title"], "bold"))
    say(f"{found['id']}: {found['state']}, {found['severity']}; handled by {found['assignee'] or 'nobody'}")
    for number, cause in enumerate(found["root_causes"], 1):
        say(f"{number}. {cause['reason']}")
    show_table(
        ("alert", "opened (UTC)", "state", "why it is here", "summary"),
        [(a["id"], moment(a["opened"]), a["state"], a["why"], a["summary"]) for a in found["members"]],
    )
    show_table(
        ("when (UTC)", "what", "who", "why"),
        [(moment(e["at"]), e["data"]["event"], e["data"]["who"], e["data"]["why"]) for e in found["timeline"]],
    )


@incidents.command("create")
def incidents_create(
    title: Annotated[str, typer.Argument(help="What it is, in one line.")],
    by: By,
    severity: Annotated[Severity, typer.Option(help="How grave it is.")] = "warning",
    alert: Annotated[list[str] | None, typer.Option(help="An alert that belongs to it; repeat.")] = None,
    why: Why = "",
) -> None:
    """Open an incident by hand; people are told at once."""
    from foreshock.store.ids import find_id

    store = the_store()
    alerts = [find_id(store, "alert", each) for each in alert or ()]
    made = _service(store).create(title, who=by, severity=severity, alerts=alerts, why=why, now_ms=_now_ms())
    say(f"{made.id}: opened by {by}")


@incidents.command("ack")
def incidents_ack(incident: IncidentId, by: By, why: Why = "") -> None:
    """Say that you take care of it: escalation stops."""
    _do("acknowledge", incident, f"acknowledged by {by}", who=by, why=why)


@incidents.command("resolve")
def incidents_resolve(incident: IncidentId, by: By, why: Why = "") -> None:
    """End it; alerts that come later are another incident."""
    _do("resolve", incident, f"resolved by {by}", who=by, why=why)


@incidents.command("reopen")
def incidents_reopen(incident: IncidentId, by: By, why: Why = "") -> None:
    """Take up a resolved incident again; people are told again."""
    _do("reopen", incident, f"reopened by {by}", who=by, why=why)


@incidents.command("assign")
def incidents_assign(
    incident: IncidentId,
    to: Annotated[str, typer.Argument(help="Who handles it; an empty text: nobody.")],
    by: By,
    why: Why = "",
) -> None:
    """Say who handles it."""
    _do("assign", incident, f"handled by {to or 'nobody'}", to=to or None, who=by, why=why)


@incidents.command("comment")
def incidents_comment(
    incident: IncidentId, text: Annotated[str, typer.Argument(help="What there is to say.")], by: By
) -> None:
    """Add a comment to its timeline."""
    _do("comment", incident, "commented", text=text, who=by)


@incidents.command("rename")
def incidents_rename(
    incident: IncidentId, title: Annotated[str, typer.Argument(help="What it is, in one line.")], by: By
) -> None:
    """Give it a title that alerts do not change any more."""
    _do("rename", incident, "renamed", title=title, who=by)


@incidents.command("class")
def incidents_class(
    incident: IncidentId, kind: Annotated[str, typer.Argument(help="As in capacity, network, deployment.")], by: By
) -> None:
    """Say of what class it is; later incidents are classified by it, too."""
    _do("classify", incident, f"of class {kind}", kind=kind, who=by)


@incidents.command("merge")
def incidents_merge(
    incident: IncidentId,
    into: Annotated[str, typer.Argument(help="The incident that it becomes a part of.")],
    by: By,
    why: Why = "",
) -> None:
    """Make an incident a part of another one."""
    store = the_store()
    done = _service(store).merge(_id(store, incident), _id(store, into), who=by, why=why, now_ms=_now_ms())
    say(f"{done.id}: {count(done.alerts, 'alert')} now")


@incidents.command("split")
def incidents_split(
    incident: IncidentId,
    alerts: Annotated[list[str], typer.Argument(help="Alerts that become an incident of their own.")],
    by: By,
    why: Why = "",
) -> None:
    """Move alerts into an incident of their own, which never becomes one with another by itself."""
    from foreshock.store.ids import find_id

    store = the_store()
    named = [find_id(store, "alert", each) for each in alerts]
    made = _service(store).split(_id(store, incident), named, who=by, why=why, now_ms=_now_ms())
    say(f"{made.id}: split off with {count(made.alerts, 'alert')}")


@incidents.command("postmortem")
def incidents_postmortem(
    incident: IncidentId,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File; default: standard output.")] = None,
) -> None:
    """Write its post-mortem in Markdown: what is known is filled in."""
    from foreshock.cli.files import make_room, writing
    from foreshock.incidents.repository import IncidentRepository
    from foreshock.incidents.view import postmortem_of

    make_room(output)
    store = the_store()
    text = postmortem_of(IncidentRepository(store), _id(store, incident), _url())
    if output is None:
        stream(text)
    else:
        with writing(output) as part:
            part.write_text(text, encoding="utf-8")
        say(f"written: {output}")


def _do(use_case: str, incident: str, told: str, **given: Any) -> None:
    store = the_store()
    done: Incident = getattr(_service(store), use_case)(_id(store, incident), **given, now_ms=_now_ms())
    say(f"{done.id}: {told}")


def _service(store: Store) -> Any:
    from foreshock.incidents.service import IncidentService

    return IncidentService(store)


def _id(store: Store, word: str) -> str:
    from foreshock.store.ids import find_id

    return find_id(store, "incident", word)


def _now_ms() -> int:
    return round(time.time() * 1000)


def _url() -> str:
    from foreshock.settings import load_settings

    return load_settings().url
