"""Settings that change while an installation runs: versions, and what is in force."""

from __future__ import annotations

from foreshock.configuration.model import Version
from foreshock.configuration.service import Configuration
from foreshock.configuration.watch import ConfigWatch, LiveSource

__all__ = ["ConfigWatch", "Configuration", "LiveSource", "Version"]
