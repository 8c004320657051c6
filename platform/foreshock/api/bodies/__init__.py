"""The windows of a request: measured before they are built, and checked before they are used."""

from __future__ import annotations

from foreshock.api.bodies.arrow import arrow_windows
from foreshock.api.bodies.json_panel import milliseconds, panel_if_few, panel_of_bodies
from foreshock.api.bodies.json_text import checked, count_times, json_value, refuse_repeated_keys, schema_problem

__all__ = [
    "arrow_windows",
    "checked",
    "count_times",
   
    "json_value",
    "milliseconds",
    "panel_if_few",
    "panel_of_bodies",
    "refuse_repeated_keys",
    "schema_problem",
]  # fmt: skip
