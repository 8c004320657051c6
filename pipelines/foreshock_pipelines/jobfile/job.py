"""A job file as a whole; its sections are the modules beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from foreshock_models.calibration.budget import Budget
from foreshock_models.errors import ConfigError, allowed
from foreshock_pipelines.jobfile.alerts import AlertConfig
from foreshock_pipelines.jobfile.base import Model, shown
from foreshock_pipelines.jobfile.detectors import AutoDetectors, Detectors, normal_form
from foreshock_pipelines.jobfile.durations import Duration, format_duration, parse_duration
from foreshock_pipelines.jobfile.forecast import EventConfig, ForecastConfig
from foreshock_pipelines.jobfile.notify import NotifierConfig
from foreshock_pipelines.jobfile.query import Query, normal_query
from foreshock_pipelines.jobfile.schedule import Schedule
from foreshock_pipelines.jobfile.source import SourceConfig
from foreshock_pipelines.jobfile.topology import TopologyConfig
from foreshock_pipelines.jobfile.write import WriteConfig

__all__ = ["Job"]

NAME = r"^[a-z][a-z0-9_-]{0,62}$"
FEATURE = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"
RESERVED = {"timestamp"}
MAX_STEPS = 50_000_000
"""Of a history: a year and a half in steps of a second."""
LEAST_ALERTS, MOST_ALERTS = 0.001 / 365, 1000 * 24
"""False alerts a day that a budget may ask for."""


def _label(value: str) -> str:
    if not value.isprintable():
        raise ValueError(f"{shown(value)} is not a label name; write printable characters")
    return value


class Job(Model):
    """One job file."""

    name: Annotated[str, Field(pattern=NAME, description="names the job in models, alerts and URLs")]
    tenant: Annotated[str, Field(pattern=NAME)] = Field("default", description="whose it is; see foreshock tenants")
    source: SourceConfig
    queries: dict[
        Annotated[str, Field(pattern=FEATURE)],
        Annotated[Query, BeforeValidator(normal_query, json_schema_input_type=str | Query)],
    ] = Field(
        min_length=1,
        max_length=1000,
        description="feature name to PromQL, or to {query, direction, min_deviation, ...}",
    )
    entity: list[Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_label)]] = Field(
        min_length=1, max_length=16,
        description="labels that name one monitored thing; any UTF-8, as in service.name",
    )  # fmt: skip
    step: Duration = Field(parse_duration("60s"), description="distance of two rows")
    history: Duration = Field(parse_duration("14d"), description="how much training reads")
    detectors: Annotated[
        Detectors,
        BeforeValidator(normal_form),
        WithJsonSchema(
            {
                "anyOf": [
                    {"const": "auto"},
                    {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "object"}]}},
                    {"type": "object", "additionalProperties": {"type": ["object", "null"]}},
                ],
                "examples": [["iforest", "lstm", "vae"], {"lstm": {"hidden": 64}}, ["pyod:ECOD"]],
            }
        ),
    ] = Field(default_factory=dict, description="default: what suits the number of features")
    per_entity: bool = Field(False, description="a model for each entity, in place of one that all share")
    false_alerts: str = Field(
        "1 per week", description="the budget per entity, or of the whole job with 'for all': the only threshold"
    )
    schedule: Schedule = Field(default_factory=Schedule)
    alerts: AlertConfig = Field(default_factory=AlertConfig)
    notify: list[NotifierConfig] = Field(
        default_factory=lambda: [NotifierConfig(type="log")], max_length=100, description="receivers of alerts"
    )
    topology: TopologyConfig | None = Field(None, description="which of the entities call which; null: not known")
    write: WriteConfig | None = Field(None, description="where scores go by remote write; null nowhere")
    labels: Path | None = Field(
        None, description="CSV or Parquet of known anomalies: start, end and the entity labels"
    )
    forecast: ForecastConfig = Field(default_factory=ForecastConfig)
    holidays: str | None = Field(None, description="country code for forecasts, as in DE or US")
    workers: int = Field(1, ge=1, le=256, description="processes that train each network together")
    shards: int = Field(1, ge=1, le=256, description="processes that share the entities in scoring")
    events: list[EventConfig] = Field(
        default_factory=list,
        max_length=10_000,
        description="what is known in advance to move metrics, for forecasts",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="of all that is random in training")

    @field_validator("false_alerts")
    @classmethod
    def _budget(cls, value: str) -> str:
        try:
            rate = Budget.parse(value).alerts_per_day
        except ConfigError as exc:
            raise ValueError(str(exc).removeprefix("false_alerts: ")) from exc
        if not LEAST_ALERTS <= rate <= MOST_ALERTS:
            raise ValueError(f"{shown(value)} is out of range; write from 0.001 per year to 1000 per hour")
        return value

    @field_validator("detectors")
    @classmethod
    def _auto_alone(cls, value: Detectors) -> Detectors:
        if "auto" in value:
            if len(value) > 1:
                raise ValueError("auto picks the detectors itself; write either auto or their names")
            AutoDetectors.model_validate(value["auto"])
        return value

    @field_validator("holidays")
    @classmethod
    def _known_country(cls, value: str | None) -> str | None:
        if value is not None:
            import holidays  # takes a second: only for those who name a country

            if value not in holidays.list_supported_countries():
                raise ValueError(f"no holidays of {shown(value)} are known; write an ISO 3166 code, as in DE or US")
        return value

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        clash = (set(self.queries) & set(self.entity)) | (RESERVED & (set(self.queries) | set(self.entity)))
        if clash:
            raise ValueError(
                f"{min(clash)!r} cannot name a feature: it is an entity label or reserved; rename the query"
            )
        if len(set(self.entity)) != len(self.entity):
            raise ValueError("entity names a label twice")
        if self.topology is not None and self.topology.label not in (None, *self.entity):
            wrong = str(self.topology.label)
            raise ValueError(f"topology.label {shown(wrong)} is not an entity label; {allowed(wrong, self.entity)}")
        if self.topology is not None and self.topology.metric is not None and self.source.prometheus is None:
            raise ValueError("topology.metric is read from Prometheus, which this job has not; write `calls`")
        if self.per_entity and self.auto is not None:
            raise ValueError("per_entity goes with detectors that are named, not with detectors: auto")
        if self.history < 10 * self.step:
            raise ValueError("history must span at least 10 steps")
        longest = max(self.history, self.forecast.history or self.history)
        if longest / self.step > MAX_STEPS:
            raise ValueError(
                f"a history of {format_duration(longest)} has more than {MAX_STEPS:,} steps of "
                f"{format_duration(self.step)}; shorten it, or lengthen the step"
            )
        return self

    @property
    def node_label(self) -> str:
        """The entity label that names a node of the call graph."""
        return (self.topology.label if self.topology is not None else None) or self.entity[0]

    @property
    def budget(self) -> Budget:
        return Budget.parse(self.false_alerts, (self.alerts.for_.needed, self.alerts.for_.of))

    @property
    def step_seconds(self) -> float:
        return self.step.total_seconds()

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(self.queries)

    @property
    def auto(self) -> AutoDetectors | None:
        """How detectors are picked, if the job leaves that to a search (``detectors: auto``)."""
        return AutoDetectors.model_validate(self.detectors["auto"]) if "auto" in self.detectors else None

    @property
    def asked(self) -> dict[str, Any]:
        """The detector options of the file; tuned settings are valid for as long as they are the same."""
        return {**self.detectors, "per_entity": True} if self.per_entity else self.detectors

    @property
    def detector_params(self) -> Detectors:
        """The detectors to fit, with their parameters: the job's own, or the defaults for its features.

        With ``detectors: auto``, the defaults too: what a search begins with.
        """
        chosen = self.detectors
        if not chosen or self.auto is not None:
            from foreshock_models.detectors import default_detectors

            chosen = {name: {} for name in default_detectors(len(self.queries))}
        return (
            {name: {"per_entity": True, **params} for name, params in chosen.items()} if self.per_entity else chosen
        )

    @property
    def score_every(self) -> float:
        """Seconds between two scoring passes."""
        return (self.schedule.score or self.step).total_seconds()
