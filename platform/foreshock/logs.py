"""Logs: one line an event, for people or as JSON."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from foreshock.terminal import visible, visible_lines

__all__ = ["get_logger", "set_up_logging"]


def set_up_logging(level: str = "INFO", *, json: bool = False) -> None:
    """Send logs to standard error, in one shape, from this level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Visible("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer()]
        if json
        else [_only_visible, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        # looked up at each line: standard error may be another one by then
        logger_factory=lambda *args: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that names where its events come from."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(source=name)
    return logger


class _Visible(logging.Formatter):
    """Messages of other libraries: none can command the terminal, or look like another line of the log."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(visible_lines(super().format(record)))


def _only_visible(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Make texts from outside fit for a terminal; a traceback keeps its lines."""
    shown = {visible(name): visible(value) if isinstance(value, str) else value for name, value in event.items()}
    if isinstance(event.get("exception"), str):
        shown["exception"] = "\n".join(visible_lines(event["exception"]))
    return shown
