"""Options and output that commands share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

__all__ = ["AsJson", "ConfigPath", "console", "print_json", "stage_line", "steps_bar"]

console = Console()
errors = Console(stderr=True)

ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="Job file (a folder of them for `up`).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, default=str))


@contextmanager
def steps_bar(text: str) -> Iterator[Any]:
    """A progress bar on standard error; gives a function (done, total)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(text, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def stage_line(text: str) -> Iterator[Any]:
    """A spinner with the present stage on standard error; gives a function that takes its next line."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(text, total=None)

        def note(line: str) -> None:
            progress.console.print(f"  {line}", highlight=False)
            progress.update(task, description=line)

        yield note
