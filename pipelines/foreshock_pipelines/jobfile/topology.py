"""``topology:``: which of the monitored things call which."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from foreshock_pipelines.jobfile.base import Model

__all__ = ["TopologyConfig"]

MOST_CALLS = 100_000
Node = Annotated[str, Field(min_length=1, max_length=512)]


class TopologyConfig(Model):
    """The call graph: incidents are gathered, and their root causes ranked, along it."""

    label: str | None = Field(
        None,
        max_length=256,
        description="entity label whose value names a node; default: the first one of `entity`",
    )
    calls: dict[Node, list[Node]] = Field(
        description="node to the nodes that it calls: {web: [api], api: [db, cache]}", max_length=10_000
    )

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if (count := sum(map(len, self.calls.values()))) > MOST_CALLS:
            raise ValueError(f"{count:,} calls; at most {MOST_CALLS:,} are taken")
        return self
