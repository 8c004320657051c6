"""``topology:``: which of the monitored things call which."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from foreshock_pipelines.jobfile.base import Model
from foreshock_pipelines.jobfile.durations import Duration

__all__ = ["MOST_CALLS", "TopologyConfig"]

MOST_CALLS = 100_000
Node = Annotated[str, Field(min_length=1, max_length=512)]
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=256)]


class TopologyConfig(Model):
    """The call graph: incidents are gathered, and their root causes ranked, along it."""

    label: str | None = Field(
        None,
        max_length=256,
        description="entity label whose value names a node; default: the first one of `entity`",
    )
    calls: dict[Node, list[Node]] = Field(
        default_factory=dict, max_length=10_000,
        description="node to the nodes that it calls: {web: [api], api: [db, cache]}",
    )  # fmt: skip
    metric: str | None = Field(
        None, max_length=4000, pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*\s*(\{[^{}]*\})?$",
        description="counter of calls in the job's Prometheus, with labels of caller and callee, and a selector if "
        "wanted: traces_service_graph_request_total. Its calls are added to `calls`",
    )  # fmt: skip
    caller: LabelName = Field("client", description="label of `metric` that names the calling node")
    callee: LabelName = Field("server", description="label of `metric` that names the node that is called")
    keep: Duration = Field(timedelta(days=7), description="how long a call is kept that `metric` no longer shows")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if not self.calls and self.metric is None:
            raise ValueError("name `calls`, or a `metric` that counts them: traces_service_graph_request_total")
        if self.caller == self.callee:
            raise ValueError(f"caller and callee are the same label, {self.caller}")
        if (count := sum(map(len, self.calls.values()))) > MOST_CALLS:
            raise ValueError(f"{count:,} calls; at most {MOST_CALLS:,} are taken")
        return self
