"""The root of the command line: which commands there are, and how errors leave it.

Exit codes: 0 done, 1 failed, 2 wrong usage (a wrong option, or a mistake in a job file or setting).
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from foreshock_models.errors import ConfigError, ForeshockError

__all__ = ["app", "main"]

app = typer.Typer(
    name="foreshock",
    help="Anomaly detection for Prometheus metrics, on Ray.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"foreshock {version('foreshock')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks and debug logs.")] = False,
) -> None:
    from foreshock.logs import set_up_logging
    from foreshock.settings import load_settings

    settings = load_settings(log_level="DEBUG" if verbose else None)
    set_up_logging(settings.log_level, json=settings.log_json)
    if verbose:
        os.environ["FORESHOCK_TRACEBACK"] = "1"


def main() -> None:
    """Run a command; every error that Foreshock raises on purpose becomes one clear message."""
    _load_commands()
    try:
        app()
    except KeyboardInterrupt:
        typer.secho("stopped", fg="yellow", err=True)
        sys.exit(130)
    except ForeshockError as exc:
        if os.environ.get("FORESHOCK_TRACEBACK"):
            raise
        typer.secho(f"error: {exc}", fg="red", err=True)
        sys.exit(2 if isinstance(exc, ConfigError) else 1)


def _load_commands() -> None:
    """Import the modules whose commands register themselves on `app`; each imports Ray and torch only when run."""
    from foreshock.cli import (  # noqa: F401
        alerts,
        backtest,
        config,
        demo,
        entities,
        estimate,
        forecast,
        jobs,
        lists,
        schedule,
        silences,
        submit,
        tune,
        up,
    )  # fmt: skip
