"""The windows of a request: measured before they are built, and checked before they are used."""

from __future__ import annotations

from foreshock.api.bodies.arrow import arrow_windows
from foreshock.api.bodies.checked import few_rows, milliseconds, panel_of
from foreshock.api.bodies.fast import plain_panel
from foreshock.api.bodies.text import checked, count_times, json_value, refuse_repeated_keys, schema_problem

__all__ = [
    "arrow_windows", "checked", "count_times", "few_rows", "json_value", "milliseconds", "panel_of", "plain_panel",
    "refuse_repeated_keys", "schema_problem",
]  # fmt: skip
