"""The root of the command line: which commands there are, and how errors leave it.

Exit codes: 0 done, 1 failed, 2 wrong usage (a wrong option, or a mistake in a job file or setting), 130
stopped by Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer

from foreshock.cli.console import fail, open_streams, say, tell
from foreshock.terminal import visible_lines
from foreshock_models.errors import ConfigError, ForeshockError

__all__ = ["app", "main", "run"]

STOPPED = 130

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

        say(f"foreshock {version('foreshock')}")
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
    """Run the command of the command line."""
    open_streams()
    sys.exit(run(sys.argv[1:]))


def run(words: list[str]) -> int:
    """Run a command; what goes wrong becomes a clear message and an exit code."""
    _load_commands()
    try:
        code = app(words, standalone_mode=False) or 0
        if code == STOPPED:  # so typer calls a KeyboardInterrupt
            tell(("stopped", "yellow"))
        return code
    except typer.TyperException as exc:  # of the command line itself: an option or a command that is not
        context = getattr(exc, "ctx", None)
        if context is not None:
            tell(context.get_usage())
            tell(f"Try: {context.command_path} -h")
        fail(exc.format_message())
        return exc.exit_code
    except Exception as raised:  # the boundary: a fault of Foreshock's own must not command the terminal either
        error = _out_of_ray(raised)
        known = isinstance(error, ForeshockError | OSError)
        if not known or os.environ.get("FORESHOCK_TRACEBACK"):
            _show_traceback(raised)
        if known:
            fail(error)
        return 2 if isinstance(error, ConfigError) else 1


def _out_of_ray(exc: Exception) -> Exception:
    """The error of a Ray worker: Ray's own has the traceback in its text."""
    if "ray" not in sys.modules:
        return exc
    from ray.exceptions import RayError

    from foreshock_pipelines.ray_errors import local_error

    return local_error(exc, "a Ray task") if isinstance(exc, RayError) else exc


def _show_traceback(exc: BaseException) -> None:
    for line in visible_lines("".join(traceback.format_exception(exc)).rstrip()):
        tell(line, whole=True)


def _load_commands() -> None:
    """Import the modules whose commands register themselves on `app`; each imports Ray and torch only when run."""
    from foreshock.cli import (  # noqa: F401
        alerts,
        audit,
        backtest,
        config,
        demo,
        doctor,
        entities,
        estimate,
        forecast,
        incidents,
        jobs,
        keys,
        live_config,
        models,
        notify,
        oncall,
        runs,
        schedule,
        silences,
        submit,
        tenants,
        tokens,
        tune,
        up,
        users,
    )  # fmt: skip
