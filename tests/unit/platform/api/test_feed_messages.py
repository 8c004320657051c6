"""Types of messages of the feed, from the events of the store."""

from __future__ import annotations

import json

import pytest

from foreshock.api.feed import TYPES, message
from foreshock.events.model import Event


@pytest.mark.parametrize(
    ("type_", "kind", "expected"),
    [
        ("alert", "anomaly", "anomaly"), ("alert", "absent", "anomaly"), ("alert", "predicted", "prediction"),
        ("incident", None, "incident"), ("notification", None, "notification"),
    ],
)  # fmt: skip
def test_an_alert_on_a_forecast_is_a_prediction_and_any_other_an_anomaly(
    type_: str, kind: str | None, expected: str
) -> None:
    event = Event(7, "default", 1_767_225_600_000, type_, "a1", {"event": "opened", "kind": kind})
    found, text = message(event)
    told = json.loads(text)
    assert (found, told["type"]) == (expected, expected)
    assert expected in TYPES
    assert (told["seq"], told["at"], told["data"]["id"]) == (7, "2026-01-01T00:00:00.000Z", "a1")
