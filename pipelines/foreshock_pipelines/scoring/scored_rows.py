"""Records of a scoring pass; reading them needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from foreshock_models.panel import Panel
from foreshock_models.state import State
from foreshock_pipelines.scoring.causes import Causes

__all__ = ["ScoredRows", "Usual"]


@dataclass(frozen=True)
class Usual:
    """Usual values of each feature at that hour of the day, with their band: ``(n_rows, n_features)`` each."""

    expected: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]


@dataclass(frozen=True)
class ScoredRows:
    """The scored rows of one pass.

    Attributes
    ----------
    panel : the rows, without context; none if there was no sample
    score, warming, permitted : ``(n_rows,)``
    causes : of the rows that were explained
    state : state of the detector after the last row
    members : score of each detector of an ensemble, ``(n_rows,)``
    new_normal : entity and time of each regime that was accepted as the new normal
    seconds : duration of each stage: ``fetch``, ``score``, ``explain``
    until_ms : the time up to which rows were read; None: that of the last row
    usual : usual values of each row, if they were requested
    partial : why the source's answers may lack rows; nothing may be concluded from a row that is not there
    """

    version: str
    panel: Panel
    score: NDArray[np.float64]
    warming: NDArray[np.bool_]
    permitted: NDArray[np.bool_]
    causes: Causes
    state: State
    members: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    new_normal: tuple[tuple[str, int], ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    until_ms: int | None = None
    usual: Usual | None = None
    partial: tuple[str, ...] = ()

    @property
    def last_ms(self) -> int:
        """The time up to which the job is scored after this pass."""
        return int(self.panel.timestamps.max()) if self.until_ms is None else self.until_ms
