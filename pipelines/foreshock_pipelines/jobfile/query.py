"""``queries:`` of a job file: the features, and what counts as a deviation of each."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from foreshock_pipelines.jobfile.base import Model
from foreshock_pipelines.jobfile.durations import LARGEST, Amount
from foreshock_pipelines.jobfile.forecast import Exhaustion

__all__ = ["Query", "normal_query"]

MAX_QUERY = 65_536


class Query(Model):
    """One feature: its PromQL, and what counts as a deviation of it."""

    query: str = Field(min_length=1, max_length=MAX_QUERY, description="PromQL; gives one series per entity")
    direction: Literal["both", "up", "down"] = Field("both", description="which deviations may alert")
    min_deviation: Amount | None = Field(
        None,
        description="smaller deviations from the expected value never alert: 0.05, or 5% of the expected value",
    )
    valid_range: tuple[float | None, float | None] | None = Field(
        None, description="[lowest, highest] possible value; samples outside are gaps"
    )
    unit: str = Field("", max_length=63, description="for axes and messages")
    exhaustion: Exhaustion | None = None

    @property
    def exhausted_at(self) -> float | None:
        """The limit of `exhaustion` in the unit of the feature."""
        if self.exhaustion is None:
            return None
        top = self.valid_range[1] if self.valid_range else None
        return self.exhaustion.limit.of(1.0 if top is None else top)

    @field_validator("valid_range")
    @classmethod
    def _ordered(cls, value: tuple[float | None, float | None] | None) -> tuple[float | None, float | None] | None:
        low, high = value or (None, None)
        if any(end is not None and abs(end) > LARGEST for end in (low, high)):
            raise ValueError(f"a number of valid_range is at most {LARGEST:g}")
        if low is not None and high is not None and low >= high:
            raise ValueError("valid_range: the first number must be below the second")
        return value


def normal_query(value: Any) -> Any:
    """Return a query as a mapping; a text is its PromQL."""
    return {"query": value} if isinstance(value, str) else value
