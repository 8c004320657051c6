"""Bodies of requests, as OpenAPI shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, model_validator

__all__ = [
    "ARROW", "ArrowQuery", "ExplainRequest", "ScoreRequest", "TrainRequest", "WindowBody", "body_schema",
]  # fmt: skip

ARROW = "application/vnd.apache.arrow.stream"
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
LAST = "score only so many rows at the end of each window, those before them being context; default: all"
TIMES = ["2026-03-02T12:00:00Z", "2026-03-02T12:01:00Z", "2026-03-02T12:02:00Z"]
WINDOW: dict[str, Any] = {
    "entity": "host-01",
    "timestamps": TIMES,
    "values": {
        "cpu": [0.31, 0.93, 0.95],
        "memory": [0.55, 0.55, 0.56],
        "disk_io": [0.21, 0.2, 0.22],
        "network": [3.1e6, 3.0e6, None],
        "latency": [0.024, 0.025, 0.024],
        "errors": [0, 1, 0],
    },
}


KEYS = 100
"""In one object of a body; each wrong one is an error that takes memory."""
NAMES = 10_000


def _few(value: Any) -> Any:
    if isinstance(value, dict) and len(value) > NAMES:
        raise ValueError(f"{len(value)} names; at most {NAMES}")
    return value


class Body(BaseModel):
    """Base of bodies: nothing that is not named, and an end to what is wrong with it."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _few_keys(cls, value: Any) -> Any:
        if isinstance(value, dict) and len(value) > KEYS:
            raise ValueError(f"{len(value)} keys in one object; allowed: {', '.join(cls.model_fields)}")
        return value


class WindowBody(Body):
    """Rows of one entity, in time order; a null is a gap."""

    entity: Annotated[str | dict[str, str] | None, BeforeValidator(_few)] = Field(
        None, description="its labels, or the value of the only one"
    )
    timestamps: Annotated[list[datetime], FailFast()] = Field(
        min_length=1, description="increasing; ISO 8601, or seconds since the epoch"
    )
    values: Annotated[dict[str, Annotated[list[Number | None], FailFast()]], BeforeValidator(_few)] = Field(
        min_length=1, description="feature to one value per timestamp; every feature of the job"
    )


class ScoreRequest(Body):
    """Windows to score."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"job": "demo", "windows": [WINDOW]}]}
    )
    job: str
    windows: Annotated[list[WindowBody], FailFast()] = Field(min_length=1, max_length=10_000)
    last: int | None = Field(None, ge=1, description=LAST)


class ArrowQuery(BaseModel):
    """Options in the query of a request whose body is Arrow."""

    job: str | None = Field(None, description="the job, for an Arrow body")
    last: int | None = Field(None, ge=1, description=f"for an Arrow body: {LAST}")


class ExplainRequest(Body):
    """A window, and the time in it that is to be explained."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"job": "demo", "window": WINDOW, "time": TIMES[-1]}]}
    )
    job: str
    window: WindowBody
    time: datetime | None = Field(None, description="default: the last row")
    detector: str | None = Field(None, description="one detector of the model; default: the model as a whole")
    method: Literal["shap", "lime"] = Field("shap", description="how the score is attributed to features")


class TrainRequest(Body):
    """A job to train."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"job": "demo"}]})
    job: str


def body_schema(model: type[BaseModel], *, arrow: type[BaseModel] | None = None) -> dict[str, Any]:
    """OpenAPI of a request body that is read by hand; `Api` moves its ``$defs`` to where they are looked for.

    `arrow`: the query that goes with a body in Arrow, if that is taken too.
    """
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    document: dict[str, Any] = {"requestBody": {"required": True, "content": content}}
    if arrow is not None:
        content[ARROW] = {"schema": {"type": "string", "format": "binary"}}
        query = arrow.model_json_schema()["properties"]
        document["parameters"] = [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": about.pop("description", ""),
                "schema": about,
            }
            for name, about in query.items()
        ]
    return document
