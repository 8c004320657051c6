"""Which seasons a series has: hour, day, week, found by autocorrelation on the detrended series."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["SEASONS", "find_seasons"]

SEASONS = {"hour": 3600, "day": 86400, "week": 604800}
