"""Logs: one line an event, for people or as JSON."""

from __future__ import annotations

import logging
import sys

import structlog

__all__ = ["get_logger", "set_up_logging"]


def set_up_logging(level: str = "INFO", *, json: bool = False) -> None:
    """Send logs to standard error, in one shape, from this level on."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
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
