"""``foreshock alerts``: look at alerts, and act on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from foreshock.alerts.repository import AlertRepository
from foreshock.cli.app import app
from foreshock.cli.console import say, show_json, show_table, tell
from foreshock.cli.formats import count, moment, number, share
from foreshock.cli.options import AsJson, By, Limit, OptionalJob, Why, the_registry, the_store

if TYPE_CHECKING:
    from foreshock.store import Store

alerts = typer.Typer(help="Alerts: list, show, acknowledge, resolve, silence, judge.", no_args_is_help=True)
app.add_typer(alerts, name="alerts")

AlertId = Annotated[str, typer.Argument(metavar="ALERT", help="Id of an alert, or its beginning.")]


@alerts.command("list")
def alerts_list(
    job: OptionalJob = None,
    entity: Annotated[str | None, typer.Option(help="Of this entity only.")] = None,
    state: Annotated[
        Literal["open", "acknowledged", "resolved", "live"] | None,
        typer.Option(help="In this state only; live: open or acknowledged."),
    ] = None,
    kind: Annotated[
        Literal["anomaly", "absent", "predicted", "notice"] | None, typer.Option(help="Of this kind only.")
    ] = None,
    severity: Annotated[
        Literal["info", "warning", "critical"] | None, typer.Option(help="Of this severity only.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Changed since: -1d, 2026-03-01, ...")] = None,
    limit: Limit = 50,
    before: Annotated[int | None, typer.Option(help="The next page, as the page before named it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Alerts, the newest first."""
    from foreshock.alerts.payload import alert_payload
    from foreshock.settings import load_settings
    from foreshock_pipelines.jobfile.times import parse_time

    since_ms = round(parse_time(since, _now()).timestamp() * 1000) if since else None
    page = AlertRepository(the_store()).list(
        job=job, entity=entity, state=state, kind=kind, severity=severity, since_ms=since_ms, before=before,
        limit=limit,
    )  # fmt: skip
    if as_json:
        url = load_settings().url
        show_json({"alerts": [alert_payload(a, a.state, url) for a in page.alerts], "next": page.next})
        return
    rows = [
        (
            a.id, moment(a.opened_ms), a.state + (", silenced" if a.live and a.silenced_by else ""), a.severity,
            a.summary,
        )
        for a in page.alerts
    ]  # fmt: skip
    show_table(("id", "opened (UTC)", "state", "severity", "summary"), rows)
    if page.next is not None:
        tell(f"more: --before {page.next}")


@alerts.command("show")
def alerts_show(alert: AlertId, as_json: AsJson = False) -> None:
    """One alert with its causes and history."""
    from foreshock.alerts.payload import alert_payload
    from foreshock.settings import load_settings

    store = the_store()
    found = AlertRepository(store).get(_id(store, alert))
    lines = AlertRepository(store).history(found.id)
    if as_json:
        show_json({**alert_payload(found, found.state, load_settings().url), "history": lines})
        return
    say((found.summary, "bold"))
    model = f"; model {found.version}" if found.version else ""
    say(f"{found.id}: {found.kind}, {found.state}, {found.severity}; peak score {found.peak:.2f}{model}")
    if found.causes:
        rows = [
            (
                c["feature"], share(c["share"]), number(c["observed"]), number(c["expected"]),
                f"{number(c['lower'])} to {number(c['upper'])}",
            )
            for c in found.causes
        ]  # fmt: skip
        show_table(("feature", "share", "observed", "usual", "band"), rows)
    show_table(
        ("when (UTC)", "what", "who", "why"),
        [(moment(line["at_ms"]), line["event"], line["who"], line["why"]) for line in lines],
    )


@alerts.command("ack")
def alerts_ack(alert: AlertId, by: By, why: Why = "") -> None:
    """Say that you take care of it."""
    from foreshock.alerts.service import acknowledge

    store = the_store()
    done = acknowledge(store, _id(store, alert), who=by, why=why, now_ms=_now_ms(), url=_url())
    say(f"{done.id}: acknowledged by {by}")


@alerts.command("resolve")
def alerts_resolve(alert: AlertId, by: By, why: Why = "") -> None:
    """End it; it stays so while the same episode goes on, unless that becomes critical."""
    from foreshock.alerts.service import resolve

    store = the_store()
    done = resolve(store, _id(store, alert), who=by, why=why, now_ms=_now_ms(), url=_url())
    say(f"{done.id}: resolved by {by}")


@alerts.command("silence")
def alerts_silence(
    by: By,
    reason: Annotated[str, typer.Option(help="Why; for whoever finds it.")],
    alert: Annotated[str | None, typer.Argument(help="Silence the entity of this alert.")] = None,
    match: Annotated[
        list[str] | None, typer.Option("--match", help='As in instance=~"web-.*" or severity!=critical; repeat.')
    ] = None,
    start: Annotated[str, typer.Option(help="now, -3h, 2026-03-01T02:30 (local to --timezone).")] = "now",
    end: Annotated[str | None, typer.Option(help="When it ends, as --start.")] = None,
    duration: Annotated[
        str | None, typer.Option("--for", help="How long it, or each of its windows, lasts.")
    ] = None,
    rule: Annotated[str | None, typer.Option(help="RRULE of recurring windows: FREQ=WEEKLY;BYDAY=SU.")] = None,
    timezone: Annotated[str, typer.Option(help="For --start, --end and --rule.")] = "UTC",
    exclude: Annotated[
        bool | None,
        typer.Option("--exclude/--keep", help="Learn from its rows or not; default not, if it starts in the past."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold back alerts for a time, once or again and again; see also: foreshock silences."""
    from foreshock.alerts.silence_matches import count_matches
    from foreshock.silences.matchers import Matcher
    from foreshock.silences.parsing import parse_silence
    from foreshock.silences.repository import SilenceRepository
    from foreshock_models.errors import ConfigError
    from foreshock_pipelines.prometheus.labels import exported_labels

    store = the_store()
    matchers = list(match or ())
    if alert is not None:
        about = AlertRepository(store).get(_id(store, alert))
        labels = {"job": about.job, **exported_labels(about.labels)}
        matchers += [str(Matcher(name, "=", value)) for name, value in labels.items()]
    if not matchers:
        raise ConfigError("say what to silence: the id of an alert, or --match instance=web-1")
    made = SilenceRepository(store).add(
        parse_silence(
            matchers, owner=by, reason=reason, now=_now(), start=start, end=end, duration=duration, rule=rule,
            timezone=timezone, exclude=exclude,
        )
    )  # fmt: skip
    matched = count_matches(store, the_registry(), made)
    about_it = made.as_json(_now_ms())
    if as_json:
        show_json({**about_it, "matches": matched.as_json()})
        return
    say(
        f"{made.id}: silences {', '.join(about_it['matchers'])} from {about_it['start']} to {about_it['end']}"
        + (f", {rule} in {timezone}" if rule else "")
        + ("; its rows are not learnt from" if made.exclude else "")
    )
    say((matched.note, "yellow") if matched.note else _count(matched.entities, matched.alerts))


def _count(entities: int, alerts: int) -> str:
    entity = count(entities, "entity")
    return f"it matches {entity} and {alerts} live alert{'' if alerts == 1 else 's'} at present"


@alerts.command("feedback")
def alerts_feedback(
    alert: AlertId,
    by: By,
    false: Annotated[bool, typer.Option("--false", help="A false alarm: the same shall not alert again.")] = False,
    true: Annotated[bool, typer.Option("--true", help="An anomaly: a label for tuning.")] = False,
    exclude: Annotated[
        str | None, typer.Option(help="Rows not to learn from, as in 14:00..15:30 (UTC, day of the alert).")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take back what was said last.")] = False,
    why: Why = "",
) -> None:
    """Say whether an alert was right; the detector learns from it at once."""
    from foreshock.feedback import service as feedback
    from foreshock.feedback.model import describe_effect
    from foreshock_models.errors import ConfigError

    if [false, true, exclude is not None, undo].count(True) != 1:
        raise ConfigError("say one of --false, --true, --exclude 14:00..15:30 or --undo")
    store = the_store()
    found = AlertRepository(store).get(_id(store, alert))
    if undo:
        taken = feedback.undo_feedback(store, found.id, who=by, now_ms=_now_ms())
        say(f"{found.id}: {taken.verdict}, said by {taken.who}, is taken back")
        return
    verdict = "false" if false else "true" if true else "exclude"
    interval = feedback.parse_interval(exclude, found.opened_ms) if exclude is not None else None
    given = feedback.add_feedback(
        store, the_registry(), found.id, verdict, who=by, now_ms=_now_ms(), interval=interval, note=why, url=_url()
    )
    say(f"{found.id}: {describe_effect(given)}; back with: foreshock alerts feedback {found.id} --undo")


def _id(store: Store, word: str) -> str:
    from foreshock.store.ids import find_id

    return find_id(store, "alert", word)


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def _now_ms() -> int:
    return round(_now().timestamp() * 1000)


def _url() -> str:
    from foreshock.settings import load_settings

    return load_settings().url
