"""Rules: which deviations of a feature may alert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rule"]


@dataclass(frozen=True, slots=True)
class Rule:
    """Deviations of one feature that may alert.

    Parameters
    ----------
    direction
        Above the usual value (``up``), below it (``down``), or ``both``.
    min_deviation
        Smaller ones never alert: in the feature's unit, or as a share of the usual value if `relative`.

    Examples
    --------
    >>> rule = Rule("up", min_deviation=0.05)
    >>> rule.permits(np.array([0.9, 0.52, 0.1]), np.array([0.5, 0.5, 0.5])).tolist()
    [True, False, False]
    """

    direction: Literal["both", "up", "down"] = "both"
    min_deviation: float = 0.0
    relative: bool = False

    @property
    def trivial(self) -> bool:
        """True if every deviation may alert."""
        return self.direction == "both" and self.min_deviation == 0.0

    def permits(self, observed: NDArray[np.float64], usual: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which deviations may alert ``(n,)``; where a value is unknown, they may."""
        away = observed - usual
        size = self.min_deviation * (np.abs(usual) if self.relative else 1.0)
        enough = np.abs(away) >= size
        if self.direction == "up":
            enough &= away > 0
        elif self.direction == "down":
            enough &= away < 0
        permitted: NDArray[np.bool_] = enough | np.isnan(away)
        return permitted
