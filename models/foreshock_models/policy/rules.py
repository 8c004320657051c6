"""What counts as a deviation of one feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rule"]


@dataclass(frozen=True, slots=True)
class Rule:
    """Deviations of a feature that may alert.

    Parameters
    ----------
    direction
        Above what is usual (``up``), below it (``down``), or ``both``.
    min_deviation
        Smaller ones never alert: in the feature's unit, or as a share of the usual value if `relative`.
    """

    direction: Literal["both", "up", "down"] = "both"
    min_deviation: float = 0.0
    relative: bool = False

    @property
    def trivial(self) -> bool:
        """True if every deviation may alert."""
        return self.direction == "both" and self.min_deviation == 0.0

    def permits(self, observed: NDArray[np.float64], usual: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which deviations may alert ``(n,)``; where a value is unknown, it may."""
        away = observed - usual
        size = self.min_deviation * (np.abs(usual) if self.relative else 1.0)
        enough = np.abs(away) >= size
        if self.direction == "up":
            enough &= away > 0
        elif self.direction == "down":
            enough &= away < 0
        permitted: NDArray[np.bool_] = enough | np.isnan(away)
        return permitted
