"""The notifications file: people, channels, schedules, escalation policies, and the routes to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from foreshock.notify.channels.config import ChannelConfig, LogChannel
from foreshock.oncall.hours import Hours
from foreshock.oncall.schedule import ScheduleConfig
from foreshock.silences.matchers import Matcher, parse_matcher
from foreshock_models.errors import ConfigError, allowed
from foreshock_pipelines.jobfile import Duration, Pause
from foreshock_pipelines.jobfile.base import Model
from foreshock_pipelines.jobfile.cron import parse_timezone

__all__ = ["DEFAULT", "NotificationsConfig", "Person", "PolicyConfig", "Route", "Step", "default_config"]

DEFAULT = "default"
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
ChannelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,47}$")]
"""Shorter: the outbox names a queue by tenant and channel."""
Severity = Literal["info", "warning", "critical"]
TARGETS = ("channel", "person", "schedule")


class Person(Model):
    """Somebody who is told, and how."""

    channels: list[str] = Field(min_length=1, max_length=10, description="names of channels, each of which is told")
    timezone: str = Field("UTC", description="of the hours: Europe/Berlin")
    quiet: list[Hours] = Field(default_factory=list, max_length=20, description="hours in which messages wait")
    working: list[Hours] = Field(
        default_factory=list, max_length=20, description="hours outside of which messages wait; default: none"
    )
    slack: str | None = Field(
        None, pattern="^[UW][A-Z0-9]{2,30}$", description="member id in Slack, for whom presses a button there"
    )
    breaks: Severity | None = Field("critical", description="from this severity on, nothing waits; null: all waits")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        parse_timezone(value)
        return value

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class Step(Model):
    """Whom an escalation tells, and how long after the step before."""

    after: Pause = Field(timedelta(0), description="after the step before, without an acknowledgement")
    to: list[Annotated[str, Field(max_length=80)]] = Field(
        min_length=1, max_length=50, description="channel:NAME, person:NAME or schedule:NAME"
    )

    @field_validator("to")
    @classmethod
    def _targets(cls, value: list[str]) -> list[str]:
        for target in value:
            kind, colon, name = target.partition(":")
            if not colon or kind not in TARGETS or not name:
                raise ValueError(f"{target!r} is no target; write channel:NAME, person:NAME or schedule:NAME")
        return value


class PolicyConfig(Model):
    """An escalation policy: steps, one after the other, until somebody acknowledges."""

    steps: list[Step] = Field(min_length=1, max_length=20, description="in the order in which they are taken")
    repeat: int = Field(0, ge=0, le=20, description="how often it begins again after the last step")


class Route(Model):
    """A node of the routing tree, as Alertmanager has it: the first child that matches counts, else the node."""

    match: list[Annotated[str, Field(max_length=4000)]] = Field(
        default_factory=list,
        max_length=50,
        description='matchers of an incident: severity=critical, job=~"shop-.*"',
    )
    policy: str | None = Field(None, max_length=64, description="escalation policy; default: that of the parent")
    goes_on: bool = Field(False, alias="continue", description="siblings behind it are looked at, too")
    wait: Pause | None = Field(
        None, description="so long alerts may join before anybody is told; default: that of the parent, 30s"
    )
    routes: list[Route] = Field(default_factory=list, max_length=200, description="children")

    @field_validator("match")
    @classmethod
    def _readable(cls, value: list[str]) -> list[str]:
        for text in value:
            try:
                parse_matcher(text)
            except ConfigError as exc:
                raise ValueError(str(exc)) from exc
        return value

    @property
    def matchers(self) -> list[Matcher]:
        return [parse_matcher(text) for text in self.match]


class NotificationsConfig(Model):
    """One notifications file."""

    channels: dict[ChannelName, ChannelConfig] = Field(min_length=1, max_length=500, description="name to channel")
    people: dict[Name, Person] = Field(default_factory=dict, max_length=5000, description="name to person")
    schedules: dict[Name, ScheduleConfig] = Field(
        default_factory=dict, max_length=500, description="name to on-call schedule"
    )
    policies: dict[Name, PolicyConfig] = Field(
        min_length=1, max_length=500, description="name to escalation policy"
    )
    route: Route = Field(description="root of the routing tree; it needs a policy")
    templates: Path | None = Field(None, description="folder of templates of your own: NAME.j2, NAME.LANGUAGE.j2")
    classes: dict[Name, Annotated[str, Field(min_length=1, max_length=5000)]] = Field(
        default_factory=dict, max_length=100,
        description="name to description of each class of incidents; default: eight of the field",
    )  # fmt: skip
    least_alerts: int = Field(
        1, ge=1, le=10_000, description="alerts that an incident needs before people are told, unless critical"
    )
    notice_before_shift: Duration | None = Field(
        timedelta(minutes=30), description="so long before a shift its person is told of it; null: never"
    )

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        known: dict[str, Mapping[str, object]] = {
            "channel": self.channels, "person": self.people, "schedule": self.schedules, "policy": self.policies
        }  # fmt: skip
        for where, kind, name in self._references():
            names = known[kind]
            if name not in names:
                raise ValueError(f"{where}: no {kind} {name!r}; {allowed(name, names)}")
        if self.route.policy is None:
            raise ValueError("route: the root of the tree needs a policy")
        return self

    def _references(self) -> Iterator[tuple[str, str, str]]:
        for name, channel in self.channels.items():
            if channel.fallback is not None:
                yield f"channels.{name}.fallback", "channel", channel.fallback
        for name, person in self.people.items():
            for each in person.channels:
                yield f"people.{name}.channels", "channel", each
        for name, schedule in self.schedules.items():
            for each in sorted(schedule.people):
                yield f"schedules.{name}", "person", each
        for name, policy in self.policies.items():
            for step in policy.steps:
                for target in step.to:
                    kind, _, word = target.partition(":")
                    yield f"policies.{name}", kind, word
        for route in _all_routes(self.route):
            if route.policy is not None:
                yield "route", "policy", route.policy


def default_config() -> NotificationsConfig:
    """Notifications without a file: incidents are lines of the log."""
    return NotificationsConfig(
        channels={"log": LogChannel(type="log")},
        policies={DEFAULT: PolicyConfig(steps=[Step(to=["channel:log"])])},
        route=Route(policy=DEFAULT),
    )


def _all_routes(route: Route) -> Iterator[Route]:
    yield route
    for child in route.routes:
        yield from _all_routes(child)
