"""A job: which metrics, how often, which detectors, what alert policy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, field_validator, model_validator

from foreshock_models.calibration.budget import Budget
from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile.base import Model
from foreshock_pipelines.jobfile.cron import parse_schedule, parse_timezone
from foreshock_pipelines.jobfile.durations import Amount, Duration, parse_duration
from foreshock_pipelines.jobfile.forecast import EventConfig, Exhaustion, ForecastConfig
from foreshock_pipelines.jobfile.http_config import HttpConfig
from foreshock_pipelines.jobfile.source import SourceConfig
from foreshock_pipelines.jobfile.write import WriteConfig

__all__ = ["AlertConfig", "Job", "NotifierConfig", "Query", "Schedule"]

NAME = r"^[a-z][a-z0-9_-]{0,62}$"
FEATURE = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"
LABEL = r"^[A-Za-z_][A-Za-z0-9_]*$"
RESERVED = {"timestamp"}


class Query(Model):
    """One feature: its PromQL, and what counts as a deviation of it."""

    query: str = Field(min_length=1, description="PromQL; gives one series per entity")
    direction: Literal["both", "up", "down"] = Field("both", description="which deviations may alert")
    min_deviation: Amount | None = Field(
        None,
        description="smaller deviations from the expected value never alert: 0.05, or 5% of the expected value",
    )
    valid_range: tuple[float | None, float | None] | None = Field(
        None, description="[lowest, highest] possible value; samples outside are gaps"
    )
    unit: str = Field("", description="for axes and messages")
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
        if value and value[0] is not None and value[1] is not None and value[0] >= value[1]:
            raise ValueError("valid_range: the first number must be below the second")
        return value


def _query(value: Any) -> Any:
    return {"query": value} if isinstance(value, str) else value


class Votes(Model):
    """``3 of 5``: so many of the last so many rows must be anomalous."""

    needed: int = Field(ge=1)
    of: int = Field(ge=1, le=32)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.needed > self.of:
            raise ValueError(
                f"{self.needed} of {self.of} can never happen; the first number must not be above the second"
            )
        return self

    def __str__(self) -> str:
        return f"{self.needed} of {self.of}"


def _votes(value: Any) -> Any:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+)\s*of\s*(\d+)\s*", value)
        if not match:
            raise ValueError(f"{value!r} is not of the form 'N of M'; write for example '3 of 5'")
        return {"needed": int(match[1]), "of": int(match[2])}
    return value


class AlertConfig(Model):
    """When scores become an alert. It applies after scoring: changing it needs no training."""

    for_: Annotated[
        Votes,
        BeforeValidator(_votes),
        PlainSerializer(str, return_type=str),
        WithJsonSchema({"type": "string", "pattern": r"^\d+ of \d+$", "examples": ["3 of 5"]}),
    ] = Field(Votes(needed=3, of=5), alias="for", description="open when N of the last M rows score >= 1")
    resolve_after: Duration = Field(
        parse_duration("10m"), description="resolve after so long without an anomalous row"
    )
    absent_after: Duration | None = Field(
        parse_duration("5m"), description="alert when an entity has sent nothing for so long; null never"
    )
    forget_after: Duration = Field(
        parse_duration("7d"), description="an entity that is absent for so long is taken as decommissioned"
    )


class Schedule(Model):
    """Cron lines (``0 3 * * *``) or intervals (``1h``); null never."""

    score: Duration | None = Field(None, description="default: the job's step")
    train: str | None = Field("0 3 * * *")
    tune: str | None = None
    forecast: str | None = None
    train_on_drift: float | None = Field(
        None, gt=0, description="train when a feature's population stability index over a day reaches this: 0.25"
    )
    timezone: str = Field("UTC", description="for cron lines")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        parse_timezone(value)
        return value

    @field_validator("train", "tune", "forecast")
    @classmethod
    def _cron_or_interval(cls, value: str | None) -> str | None:
        if value is not None:
            parse_schedule(value)
        return value


class NotifierConfig(HttpConfig):
    """Where alerts go: one `type`, with what that type needs."""

    type: str = Field(description="log, webhook, alertmanager, or the name of a plugin")
    url: str | None = None


class AutoDetectors(Model):
    """``detectors: auto``, or ``{auto: {time: 20m}}``: pick detectors and their settings by a search."""

    time: Duration = Field(parse_duration("10m"), description="how long the first training searches")
    trials: int = Field(8, ge=1, description="settings to try for each detector")


Detectors = dict[str, dict[str, Any]]


def _detectors(value: Any) -> Any:
    if value == "auto":
        return {"auto": {}}
    if isinstance(value, str):
        return {value: {}}
    if isinstance(value, list):
        merged: Detectors = {}
        for item in value:
            merged.update({item: {}} if isinstance(item, str) else item)
        return merged
    return value


def _nulls_to_empty(value: Detectors) -> Detectors:
    return {name: params or {} for name, params in value.items()}


class Job(Model):
    """One job file."""

    name: Annotated[str, Field(pattern=NAME, description="names the job in models, alerts and URLs")]
    source: SourceConfig
    queries: dict[
        Annotated[str, Field(pattern=FEATURE)],
        Annotated[Query, BeforeValidator(_query, json_schema_input_type=str | Query)],
    ] = Field(min_length=1, description="feature name to PromQL, or to {query, direction, min_deviation, ...}")
    entity: list[Annotated[str, Field(pattern=LABEL)]] = Field(
        min_length=1, description="labels that name one monitored thing"
    )
    step: Duration = Field(parse_duration("60s"), description="distance of two rows")
    history: Duration = Field(parse_duration("14d"), description="how much training reads")
    detectors: Annotated[
        Detectors,
        BeforeValidator(_nulls_to_empty),
        BeforeValidator(_detectors),
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
    false_alerts: str = Field("1 per week", description="the budget per entity: the only threshold")
    schedule: Schedule = Field(default_factory=Schedule)
    alerts: AlertConfig = Field(default_factory=AlertConfig)
    notify: list[NotifierConfig] = Field(default_factory=lambda: [NotifierConfig(type="log")])
    write: WriteConfig | None = Field(None, description="where scores go by remote write; null nowhere")
    labels: Path | None = Field(
        None, description="CSV or Parquet of known anomalies: start, end and the entity labels"
    )
    forecast: ForecastConfig = Field(default_factory=ForecastConfig)
    holidays: str | None = Field(None, description="country code for forecasts, as in DE or US")
    workers: int = Field(1, ge=1, le=256, description="processes that train each network together")
    shards: int = Field(1, ge=1, le=256, description="processes that share the entities in scoring")
    events: list[EventConfig] = Field(
        default_factory=list, description="what is known in advance to move metrics, for forecasts"
    )
    seed: int = 0

    @field_validator("false_alerts")
    @classmethod
    def _budget(cls, value: str) -> str:
        try:
            Budget.parse(value)
        except ConfigError as exc:
            raise ValueError(str(exc).removeprefix("false_alerts: ")) from exc
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
                raise ValueError(f"no holidays of {value!r} are known; write an ISO 3166 code, as in DE or US")
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
        if self.per_entity and self.auto is not None:
            raise ValueError("per_entity goes with detectors that are named, not with detectors: auto")
        if self.history < 10 * self.step:
            raise ValueError("history must span at least 10 steps")
        return self

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
        """What the file says of detectors; what was tuned holds for as long as it says the same."""
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
