"""Examination of an installation: whether it can run, and who can reach it. Nothing in it is changed."""

from __future__ import annotations

from foreshock.doctor.checks import Finding, examine

__all__ = ["Finding", "examine"]
