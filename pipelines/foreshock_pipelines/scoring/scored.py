"""Records of a scoring pass; reading them needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from foreshock_models.calibration.state import State
from foreshock_models.panel import Panel

__all__ = ["Cause", "Scored", "Usual"]


@dataclass(frozen=True, slots=True)
class Cause:
    """A feature that drove a score: its share of the attributions, and what it was beside what is usual."""

    feature: str
    share: float
    observed: float | None
    expected: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class Usual:
    """What each feature is on a usual day at that hour, and its band: ``(n_rows, n_features)`` each."""

    expected: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """The scored rows of one pass.

    Attributes
    ----------
    panel : the rows, without context; none if there was no sample
    score, warming, permitted : ``(n_rows,)``
    causes : row number to the causes at that row, for rows that were explained
    state : of the detector, after the last row
    new_normal : entity and time of each regime accepted as the new normal
    seconds : stage to how long it took: ``fetch``, ``score``, ``explain``
    until_ms : up to when rows were looked for; None: the last row
    usual : of each row, if it was asked for
    """

    version: str
    panel: Panel
    score: NDArray[np.float64]
    warming: NDArray[np.bool_]
    permitted: NDArray[np.bool_]
    causes: dict[int, list[Cause]]
    state: State
    members: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    new_normal: tuple[tuple[str, int], ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    until_ms: int | None = None
    usual: Usual | None = None

    @property
    def last_ms(self) -> int:
        """The time up to which this pass brings scoring."""
        return int(self.panel.timestamps.max()) if self.until_ms is None else self.until_ms
