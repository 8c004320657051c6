"""An incident as a whole: with its alerts and its timeline, for people."""

from __future__ import annotations

from typing import Any

from foreshock.alerts.model import Alert
from foreshock.alerts.payload import alert_payload
from foreshock.alerts.repository import AlertRepository
from foreshock.incidents.class_assignment import like
from foreshock.incidents.embedding import installed_embedder
from foreshock.incidents.postmortem import postmortem
from foreshock.incidents.repository import IncidentRepository

__all__ = ["postmortem_of", "whole"]


def whole(incidents: IncidentRepository, incident: str, url: str) -> dict[str, Any]:
    """JSON values of an incident, its alerts with the reason for each, and its timeline."""
    found = incidents.get(incident)
    members = {member.alert: member for member in incidents.members([incident])}
    alerts = _alerts(incidents, list(members))
    joined = [{**alert_payload(a, a.state, url), "why": members[a.id].why} for a in alerts]
    timeline = [event.as_json() for event in incidents.timeline(incident)]
    return {
        **found.as_json(url),
        "members": joined,
        "timeline": timeline,
        "similar": like(incidents, found, installed_embedder()),
    }


def postmortem_of(incidents: IncidentRepository, incident: str, url: str) -> str:
    """The post-mortem of an incident, in Markdown."""
    found = incidents.get(incident)
    members = [member.alert for member in incidents.members([incident])]
    return postmortem(found, _alerts(incidents, members), incidents.timeline(incident), url)


def _alerts(incidents: IncidentRepository, ids: list[str]) -> list[Alert]:
    with incidents.store.begin() as c:
        found = AlertRepository(incidents.store).some(c, ids)
    return sorted(found.values(), key=lambda alert: (alert.opened_ms, alert.id))
