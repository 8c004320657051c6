"""The windows of a request: measured before they are built, and checked before they are used."""

from __future__ import annotations

from foreshock.serving.bodies.arrow import arrow_windows
from foreshock.serving.bodies.checked import panel_of
from foreshock.serving.bodies.fast import plain_panel

__all__ = ["arrow_windows", "panel_of", "plain_panel"]
