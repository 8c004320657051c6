"""When a resource runs out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foreshock_models.errors import DataError
from foreshock_models.forecasters._forecast import Forecast

__all__ = ["TimeToExhaustion", "time_to_exhaustion"]


@dataclass(frozen=True, slots=True)
class TimeToExhaustion:
    """When one feature of one entity reaches its limit, in seconds from the beginning of the forecast.

    ``seconds`` is the median, ``lower`` and ``upper`` are the ends of the interval of `level`; None is later than
    the forecast looks (``horizon`` seconds). ``probability``: of reaching it within ``within`` seconds, estimated
    from how many of ``courses`` do.
    """

    entity: str
    feature: str
    limit: float
    direction: Literal["up", "down"]
    level: float
    seconds: float | None
    lower: float | None
    upper: float | None
    probability: float
    within: float
    horizon: float
    courses: int = 0

    @property
    def chance(self) -> str:
        """The probability as far as the courses can tell it: ``35%``, ``under 8%``, ``over 92%``."""
        finest = 1 / (self.courses + 1)
        if self.courses and self.probability < finest:
            return f"under {finest:.0%}"
        if self.courses and self.probability > 1 - finest:
            return f"over {1 - finest:.0%}"
        return f"{self.probability:.0%}"

    def __str__(self) -> str:
        """As a person would say it: ``disk of host-7 reaches 0.95 in 31 h (80%: 22–45 h)``."""
        name = f"{self.feature} of {self.entity}" if self.entity else self.feature
        if self.seconds is None and self.lower is None:
            return f"{name} does not reach {self.limit:g} within {_hours(self.horizon)} h"
        beyond = f"> {_hours(self.horizon)}"
        median, lower, upper = (beyond if t is None else _hours(t) for t in (self.seconds, self.lower, self.upper))
        return f"{name} reaches {self.limit:g} in {median} h ({self.level:.0%}: {lower}–{upper} h)"


def time_to_exhaustion(
    forecast: Forecast,
    limit: float,
    level: float = 0.8,
    *,
    feature: str | None = None,
    direction: Literal["up", "down"] = "up",
    within: timedelta | None = None,
) -> list[TimeToExhaustion]:
    """When each entity's feature first reaches a limit, with an interval and a probability.

    The forecast is laid out with each course of errors that the validation saw (`Forecast.paths`): the share of
    courses that reach the limit is the probability, and the quantiles of the times at which they first do are the
    interval. Whole courses are needed: twenty rows that may each cross with 10% cross almost surely if their
    errors are independent, and hardly more than once in ten if one error lasts. ``n`` courses cannot tell
    probabilities closer than ``1 / n``, so none is given as 0 or 1.

    Parameters
    ----------
    limit
        In the unit of the feature: a finite number, at least 0.
    level
        Of the interval.
    feature
        Which one; may be left out where the forecast has one only.
    direction
        ``"up"``: used up when the value rises to the limit; ``"down"``: when what is left falls to it.
    within
        For the probability; default the whole forecast.

    Raises
    ------
    DataError
        A limit that is negative or not finite, a level that is not between 0 and 1, a feature that is not in the
        forecast, or a time longer than the forecast.
    """
    if not np.isfinite(limit) or limit < 0:
        raise DataError(f"a limit must be a finite number, at least 0, in the unit of the feature; got {limit}")
    if not 0 < level < 1:
        raise DataError(f"level must lie between 0 and 1, as in 0.8; got {level}")
    if direction not in ("up", "down"):
        raise DataError(f"direction must be 'up' or 'down'; got {direction!r}")
    if feature is None and len(forecast.features) > 1:
        raise DataError(f"name one feature of {', '.join(forecast.features)}: a limit is of one")
    feature = feature or forecast.features[0]
    forecast.index(forecast.entities[0], feature)
    horizon = forecast.horizon * forecast.step
    look = within.total_seconds() if within else horizon
    if not 0 < look <= horizon:
        raise DataError(
            f"within must be more than 0 and at most the {_hours(horizon)} h of the forecast; got {_hours(look)} h"
        )
    sign = 1.0 if direction == "up" else -1.0
    out = []
    for entity in forecast.entities:
        if (entity, feature) in forecast.paths:
            times = np.sort(_first(sign * forecast.paths[entity, feature], sign * limit, forecast.step))
            last = len(times) - 1  # order statistics, outwards: infinite times cannot be interpolated
            ends = (
                math.ceil(0.5 * last),
                math.floor((0.5 - level / 2) * last),
                math.ceil((0.5 + level / 2) * last),
            )
            seconds, lower, upper = (_finite(times[i]) for i in ends)
            reached = (float(np.sum(times <= look)) + 0.5) / (len(times) + 1)
            out.append(
                TimeToExhaustion(
                    entity,
                    feature,
                    limit,
                    direction,
                    level,
                    seconds,
                    lower,
                    upper,
                    reached,
                    look,
                    horizon,
                    len(times),
                )
            )
    return out


def _first(paths: NDArray[np.float64], limit: float, step: float) -> NDArray[np.float64]:
    """Seconds to the middle of the first row that reaches the limit ``(n_paths,)``, infinite where none does."""
    reached = paths >= limit
    return np.where(reached.any(axis=1), (reached.argmax(axis=1) + 0.5) * step, np.inf)


def _finite(seconds: np.float64) -> float | None:
    return float(seconds) if np.isfinite(seconds) else None


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.3g}"
