"""Options and output that commands share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from foreshock.settings import Settings
    from foreshock.store import Store
    from foreshock_pipelines.registry import Registry

__all__ = [
    "AsJson", "ConfigPath", "Limit", "OptionalJob", "console", "positive_duration", "print_json",
    "settings_for_ray", "stage_line", "steps_bar", "the_registry", "the_store",
]  # fmt: skip

console = Console()
errors = Console(stderr=True)

ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="Job file (a folder of them for `up`).")]
OptionalJob = Annotated[str | None, typer.Option("--job", help="Of this job only.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def the_store() -> Store:
    """The store of this installation."""
    from foreshock.runtime.home import open_home
    from foreshock.settings import load_settings
    from foreshock.store import open_store

    settings = load_settings()
    open_home(settings.home)
    return open_store(settings.store)


def the_registry() -> Registry:
    """The models of this installation."""
    from foreshock.settings import load_settings
    from foreshock_pipelines.registry import Registry

    return Registry(load_settings().registry)


def positive_duration(text: str, option: str) -> timedelta:
    """Return a duration that an option gives; a wrong one is wrong usage."""
    from foreshock_pipelines.jobfile import parse_duration

    try:
        length = parse_duration(text)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint=option) from exc
    if length <= timedelta(0):
        raise typer.BadParameter("must be longer than 0", param_hint=option)
    return length


def settings_for_ray(**overrides: object) -> Settings:
    """Return the settings, once Ray can be started or joined: a command works for a while before it does so."""
    from foreshock.runtime.cluster import check_cluster
    from foreshock.settings import load_settings

    settings = load_settings(**overrides)
    check_cluster(settings)
    return settings


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, default=str))


@contextmanager
def steps_bar(text: str) -> Iterator[Any]:
    """A progress bar on standard error; gives a function (done, total)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(text, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


class Stages:
    """The present stage on standard error, and a bar for each thing in it that has an end."""

    def __init__(self, progress: Progress, text: str) -> None:
        self._progress = progress
        self._stage = progress.add_task(text, total=None)
        self._bars: dict[str, TaskID] = {}

    def __call__(self, line: str) -> None:
        """The next stage; the line stays on the screen."""
        self._progress.console.print(f"  {line}", highlight=False)
        self._progress.update(self._stage, description=line)

    def steps(self, what: str, done: int, total: int) -> None:
        """How far `what` has come; its bar goes when it is done."""
        if what not in self._bars:
            self._bars[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._bars[what], completed=done, total=total, visible=done < total)


@contextmanager
def stage_line(text: str) -> Iterator[Stages]:
    """A spinner with the present stage, and bars below it, while the block runs."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), _Bar(), _Count(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        yield Stages(progress, text)


class _Bar(BarColumn):
    """Of what has an end."""

    def render(self, task: Task) -> Any:
        return Text() if task.total is None else super().render(task)


class _Count(MofNCompleteColumn):
    """Of what has an end."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task)
