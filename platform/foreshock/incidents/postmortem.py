"""Post-mortem of an incident in Markdown: what is known is filled in, what people must add is marked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from foreshock.alerts.model import Alert
from foreshock.clock import iso
from foreshock.events.model import Event
from foreshock.incidents.model import Incident

__all__ = ["postmortem"]

SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")
ALERTS = 100


def postmortem(incident: Incident, alerts: Sequence[Alert], timeline: Sequence[Event], url: str = "") -> str:
    """Write the document; names and texts of others are escaped, so that they stay text."""
    lasted = ((incident.resolved_ms or incident.updated_ms) - incident.opened_ms) / 60000
    lines = [
        f"# Post-mortem: {_text(incident.title)}",
        "",
        f"- Incident: [{incident.id}]({url}/incidents/{incident.id})",
        f"- Severity: {incident.severity}; state: {incident.state}",
        f"- Class: {_text(incident.kind or 'not classified')}",
        f"- First alert: {iso(incident.first_ms)}; opened: {iso(incident.opened_ms)}",
        f"- Resolved: {iso(incident.resolved_ms) if incident.resolved_ms else 'not yet'} ({lasted:.0f} min)",
        f"- Handled by: {_text(incident.assignee or 'nobody')}",
        f"- Affected: {_text(', '.join(incident.entities) or 'not known')}",
        "",
        "## Impact",
        "",
        "*To be written: who noticed it, and what did not work for them.*",
        "",
        "## Probable root causes",
        "",
        *(
            [f"{n}. {_text(cause['reason'])}" for n, cause in enumerate(incident.causes, 1)]
            or ["*None was ranked.*"]
        ),
        "",
        "## Timeline",
        "",
        "| when (UTC) | what | who | why |",
        "| --- | --- | --- | --- |",
        *(
            f"| {iso(e.at_ms)} | {_text(e.data['event'])} | {_text(e.data['who'])} | {_text(e.data['why'])} |"
            for e in timeline
        ),
        "",
        "## Alerts",
        "",
        "| opened (UTC) | resolved (UTC) | severity | what |",
        "| --- | --- | --- | --- |",
        *(
            f"| {iso(a.opened_ms)} | {iso(a.resolved_ms) if a.resolved_ms else ''} | {a.severity} "
            f"| {_text(a.summary)} |"
            for a in alerts[:ALERTS]
        ),
        *([f"\n*and {len(alerts) - ALERTS} more*"] if len(alerts) > ALERTS else []),
        "",
        "## What went well, what did not, what will be done",
        "",
        "*To be written.*",
        "",
    ]
    return "\n".join(lines)


def _text(value: str) -> str:
    return SPECIAL.sub(r"\\\1", " ".join(value.split()))
