"""Examination of an installation: whether it can run, and who can reach it. Nothing of the installation is changed."""

from __future__ import annotations

from foreshock.doctor.checks import Finding, examine

__all__ = ["Finding", "examine"]
