"""``foreshock oncall``: who is on call, and schedules as calendars."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foreshock.cli.app import app
from foreshock.cli.console import say, show_json, show_table, stream
from foreshock.cli.formats import moment
from foreshock.cli.options import AsJson
from foreshock_models.errors import ConfigError, allowed

if TYPE_CHECKING:
    from foreshock.oncall.config import NotificationsConfig
    from foreshock.oncall.schedule import ScheduleConfig

oncall = typer.Typer(help="On-call schedules: list, show, export, import.", no_args_is_help=True)
app.add_typer(oncall, name="oncall")

Schedule = Annotated[str, typer.Argument(metavar="SCHEDULE", help="Name of a schedule in the notifications file.")]
Days = Annotated[int, typer.Option(min=1, max=366, help="So many days from now on.")]


@oncall.command("list")
def oncall_list(as_json: AsJson = False) -> None:
    """List who is on call now and next, and the gaps of the next two weeks."""
    from foreshock.oncall.service import duty

    found = duty(_config(), datetime.now(UTC))
    if as_json:
        show_json(found)
        return
    rows = [
        (d["schedule"], d["on_call"] or "nobody", moment(d["until"]), d["next"] or "nobody", str(len(d["gaps"])))
        for d in found
    ]
    show_table(("schedule", "on call", "until (UTC)", "next", "gaps"), rows)


@oncall.command("show")
def oncall_show(schedule: Schedule, days: Days = 28, as_json: AsJson = False) -> None:
    """Show the shifts of a schedule; where nobody is on call, it says so."""
    from foreshock.oncall.schedule import shifts

    now = datetime.now(UTC)
    found = shifts(_schedule(schedule), now, now + timedelta(days=days))
    if as_json:
        show_json([{"start": s.start.isoformat(), "end": s.end.isoformat(), "person": s.person} for s in found])
        return
    rows = [(moment(s.start), moment(s.end), s.person or "nobody") for s in found]
    show_table(("from (UTC)", "to (UTC)", "on call"), rows, styles=["" if s.person else "red" for s in found])


@oncall.command("export")
def oncall_export(
    schedule: Schedule,
    days: Days = 90,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File; default: standard output.")] = None,
) -> None:
    """Write the shifts of a schedule as iCalendar."""
    from foreshock.cli.files import make_room, writing
    from foreshock.oncall.calendar import to_ical
    from foreshock.oncall.schedule import shifts

    make_room(output)
    now = datetime.now(UTC)
    data = to_ical(schedule, shifts(_schedule(schedule), now, now + timedelta(days=days)), now)
    if output is None:
        stream(data.decode().replace("\r\n", "\n"))
        return
    with writing(output) as part:
        part.write_bytes(data)
    say(f"written: {output}")


@oncall.command("import")
def oncall_import(
    schedule: Schedule,
    file: Annotated[Path, typer.Argument(help="An iCalendar file; the summary of each event names the person.")],
    days: Days = 90,
) -> None:
    """Read shifts from iCalendar, and print them as the overrides of a schedule."""
    import yaml

    from foreshock.oncall.calendar import from_ical

    now = datetime.now(UTC)
    try:
        data = file.read_bytes()
    except OSError as exc:
        raise ConfigError(f"{file}: cannot be read: {exc.strerror or exc}") from exc
    found = from_ical(data, _schedule(schedule).zone, now, now + timedelta(days=days))
    unknown = sorted({each.person for each in found} - set(_config().people))
    if unknown:
        raise ConfigError(f"{file}: no person {unknown[0]!r}; {allowed(unknown[0], _config().people)}")
    rows = [{"person": each.person, "start": each.start.isoformat(), "end": each.end.isoformat()} for each in found]
    stream(yaml.safe_dump({"overrides": rows}, sort_keys=False))


def _config() -> NotificationsConfig:
    from foreshock.oncall.config_file import load_notifications, notifications_file
    from foreshock.settings import load_settings
    from foreshock.store.scope import current_tenant

    return load_notifications(notifications_file(load_settings().notifications, current_tenant()))


def _schedule(name: str) -> ScheduleConfig:
    schedules = _config().schedules
    if name not in schedules:
        raise ConfigError(f"no schedule {name!r}; {allowed(name, schedules)}")
    found: ScheduleConfig = schedules[name]
    return found
