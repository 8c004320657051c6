"""Causes of anomalies: the features that drove a score, looked up by entity and time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foreshock_models.panel import Panel

if TYPE_CHECKING:
    from foreshock_models.detectors import Detector

__all__ = ["Cause", "Causes", "causes_of", "last_explained", "usual_values"]

MAX_CAUSES = 5
MIN_SHARE = 0.01
"""A feature with a smaller share of the attributions is not a cause."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A feature that drove a score: its share of the attributions, its value, and its usual value with the band."""

    feature: str
    share: float
    observed: float | None
    expected: float | None
    lower: float | None
    upper: float | None


class Causes:
    """The causes at the rows that were explained, by entity and time.

    Not every anomalous row is explained, so a lookup returns the causes at the last explained row of the same
    entity that is not later.

    Parameters
    ----------
    explained
        Entity and time, ms since the epoch, to the causes at that row.

    Examples
    --------
    >>> disk = Cause("disk", 0.8, 0.99, 0.5, 0.4, 0.6)
    >>> causes = Causes({("web-1", 60_000): [disk]})
    >>> [cause.feature for cause in causes.at("web-1", 120_000)]
    ['disk']
    >>> causes.at("web-1", 0), causes.at("web-2", 120_000)
    ([], [])
    """

    def __init__(self, explained: Mapping[tuple[str, int], Sequence[Cause]] | None = None) -> None:
        self.explained = {key: list(found) for key, found in (explained or {}).items()}
        self._times: dict[str, list[int]] = {}
        for entity, time in sorted(self.explained):
            self._times.setdefault(entity, []).append(time)

    def at(self, entity: str, time: int) -> list[Cause]:
        """Return the causes at the last explained row of `entity` not later than `time`; empty if there is none."""
        times = self._times.get(entity, [])
        place = bisect_right(times, time)
        return self.explained[entity, times[place - 1]] if place else []

    @classmethod
    def join(cls, parts: Iterable[Causes]) -> Causes:
        """Join the causes of several workers or passes."""
        return cls({key: found for part in parts for key, found in part.explained.items()})

    def __len__(self) -> int:
        """Return the number of explained rows."""
        return len(self.explained)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Causes) and self.explained == other.explained

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Causes({len(self)} explained rows of {len(self._times)} entities)"


def last_explained(rows: Panel, explained: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what `Causes.at` looks up, for every row at once ``(n_rows,)``.

    Parameters
    ----------
    explained
        Numbers of the explained rows, increasing, ``(n_explained,)``.

    Returns
    -------
    The place in `explained` of the last explained row of the same entity that is not later, or -1.
    """
    if len(explained) == 0:
        return np.full(rows.n_rows, -1, dtype=np.int64)
    place = np.searchsorted(explained, np.arange(rows.n_rows), side="right") - 1
    same = rows.codes[explained[np.maximum(place, 0)]] == rows.codes
    found: NDArray[np.int64] = np.where((place >= 0) & same, place, -1)
    return found


def causes_of(
    features: tuple[str, ...],
    attributions: NDArray[np.float64],
    observed: NDArray[np.float64],
    expected: NDArray[np.float64],
    lower: NDArray[np.float64],
    upper: NDArray[np.float64],
    usual: NDArray[np.bool_],
) -> list[Cause]:
    """Return the features that drove one row's score, the largest share first; each argument ``(n_features,)``.

    A feature whose values are `usual` is no cause: its attribution is due to rows of the past. Shares are those of
    the others.
    """
    positive = np.where(usual, 0.0, np.maximum(attributions, 0.0))
    share = positive / max(float(positive.sum()), 1e-12)
    order = np.argsort(-share, kind="stable")[:MAX_CAUSES]
    return [
        Cause(features[j], round(float(share[j]), 4), *(_number(x[j]) for x in (observed, expected, lower, upper)))
        for j in order
        if share[j] > MIN_SHARE
    ]


def usual_values(panel: Panel, detector: Detector, rows: NDArray[np.int64], back: int) -> NDArray[np.bool_]:
    """Return which features were within their usual bands ``(n, n_features)`` at `rows` and before.

    Parameters
    ----------
    back
        Rows that are looked at, each of `rows` the last.
    """
    starts = panel.offsets[:-1][panel.codes[rows]]
    at = np.maximum(rows[:, None] - np.arange(back), starts[:, None])  # (n, back)
    numbers, place = np.unique(at, return_inverse=True)
    some = panel.pick(numbers).require(detector.features_in_)
    band = detector.usual(some)
    with np.errstate(invalid="ignore"):
        inside: NDArray[np.bool_] = (some.values >= band.lower) & (some.values <= band.upper)
        inside |= np.isnan(some.values)
    found: NDArray[np.bool_] = np.all(inside[place.reshape(at.shape)], axis=1)
    return found


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
