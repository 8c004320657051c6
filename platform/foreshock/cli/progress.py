"""Progress on standard error: bars for what has an end, and the present stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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

from foreshock.cli.console import errors, tell
from foreshock.terminal import visible

__all__ = ["Stages", "stage_line", "steps_bar"]


@contextmanager
def steps_bar(text: str) -> Iterator[Any]:
    """A progress bar; gives a function (done, total)."""
    columns = (_description(), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(visible(text), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


class Stages:
    """The present stage, and a bar for each thing in it that has an end."""

    def __init__(self, progress: Progress, text: str) -> None:
        self._progress = progress
        self._stage = progress.add_task(visible(text), total=None)
        self._bars: dict[str, TaskID] = {}

    def __call__(self, line: str) -> None:
        """Begin the next stage; the line stays on the screen."""
        tell(f"  {line}")
        self._progress.update(self._stage, description=visible(line))

    def steps(self, what: str, done: int, total: int) -> None:
        """Say how far `what` has come; its bar goes when it is done."""
        if what not in self._bars:
            self._bars[what] = self._progress.add_task(visible(what), total=total)
        self._progress.update(self._bars[what], completed=done, total=total, visible=done < total)


@contextmanager
def stage_line(text: str) -> Iterator[Stages]:
    """A spinner with the present stage, and bars below it, while the block runs."""
    columns = (SpinnerColumn(), _description(), _Bar(), _Count(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        yield Stages(progress, text)


def _description() -> TextColumn:
    return TextColumn("{task.description}", markup=False)


class _Bar(BarColumn):
    """Of what has an end."""

    def render(self, task: Task) -> Any:
        return Text() if task.total is None else super().render(task)


class _Count(MofNCompleteColumn):
    """Of what has an end."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task)
