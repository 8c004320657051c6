"""The one threshold that users set: how many false alerts they can live with."""

from __future__ import annotations

import re
from dataclasses import dataclass

from foreshock_models.errors import ConfigError, allowed
from foreshock_models.votes import check_votes

__all__ = ["Budget"]

SECONDS = {"hour": 3600.0, "day": 86400.0, "week": 7 * 86400.0, "month": 30 * 86400.0, "year": 365 * 86400.0}


@dataclass(frozen=True, slots=True)
class Budget:
    """False alerts that are acceptable per entity and time, or, `for_all` entities of a job together, per time.

    >>> round(Budget.parse("1 per week").alerts_per_day, 4)
    0.1429
    >>> str(Budget.parse("3 per day for all").per_entity(12))
    '0.25 per day'
    """

    alerts: float
    seconds: float
    votes: tuple[int, int] = (3, 5)
    """The rule of an alert: N of M rows with a score of at least 1."""
    for_all: bool = False

    def __post_init__(self) -> None:
        check_votes(*self.votes)

    @classmethod
    def parse(cls, text: str, votes: tuple[int, int] = (3, 5)) -> Budget:
        """Read ``"1 per week"``, ``"0.5 per day"``, ``"2 per month"``, ``"3 per day for all"``.

        Raises
        ------
        ConfigError
            Not of that form, an unknown unit, or a number that is not > 0.
        """
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:per|/|a|an)\s*([A-Za-z]+?)s?(\s+for\s+all)?\s*", text)
        if not match:
            raise ConfigError(
                f"false_alerts: {text!r} is not a budget; write for example '1 per week', or '3 per day for all'"
            )
        number, unit = float(match[1]), match[2].lower()
        if unit not in SECONDS:
            raise ConfigError(f"false_alerts: unknown unit {unit!r}; {allowed(unit, SECONDS)}")
        if number <= 0:
            raise ConfigError("false_alerts: the number must be > 0; a budget of 0 would never alert")
        return cls(number, SECONDS[unit], votes, match[3] is not None)

    def per_entity(self, n_entities: int) -> Budget:
        """Return the budget of each of `n_entities`."""
        if not self.for_all:
            return self
        return Budget(self.alerts / max(n_entities, 1), self.seconds, self.votes)

    @property
    def alerts_per_day(self) -> float:
        return self.alerts / self.seconds * 86400.0

    def rows_per_alert(self, step: float) -> float:
        """Number of rows of `step` seconds that pass between two false alerts."""
        return max(self.seconds / self.alerts / step, 2.0)

    def __str__(self) -> str:
        unit = next((name for name, s in SECONDS.items() if s == self.seconds), f"{self.seconds:g} s")
        return f"{self.alerts:g} per {unit}" + (" for all" if self.for_all else "")
