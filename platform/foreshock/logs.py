"""Logs: one line an event, for people or as JSON; those of all processes appear where ``foreshock up`` runs.

A process that Ray started writes its events into Ray's files, where nobody looks, and sends them to the socket
named in ``FORESHOCK_LOG_SOCKET``, too. `relay_logs` prints what arrives there.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
import structlog

from foreshock.terminal import visible, visible_lines

__all__ = [
    "Condition",
    "LogHandler",
    "describe_error",
    "get_logger",
    "note_restart",
    "relay_logs",
    "set_up_logging",
]

SOCKET = "FORESHOCK_LOG_SOCKET"
LONGEST, FOREIGN = 8000, 400
"""Characters of one value in a line; of what a library says."""
QUIET = 60.0
"""Seconds in which a condition whose reason changes is logged once."""
ALIKE = 5.0
"""Seconds in which several processes may notice the same: it is printed once."""
Event = MutableMapping[str, Any]


def set_up_logging(level: str | None = None, *, json: bool | None = None) -> None:
    """Send logs to standard error, in one shape, from this level on.

    Parameters
    ----------
    level, json
        Default: ``FORESHOCK_LOG_LEVEL`` and ``FORESHOCK_LOG_JSON``, which processes of an installation inherit.
    """
    level = level or os.environ.get("FORESHOCK_LOG_LEVEL") or "INFO"
    if json is None:
        json = os.environ.get("FORESHOCK_LOG_JSON", "").lower() in ("1", "true", "yes", "on")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if level == "DEBUG" else _exception_in_a_line,
            *([_sent] if SOCKET in os.environ else []),
            *_renderers(json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        # looked up at each line: standard error may be another one by then
        logger_factory=lambda *args: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[LogHandler()], level=logging.WARNING)
    threading.excepthook = _thread_died


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that names where its events come from."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(source=name)
    return logger


def describe_error(exc: BaseException) -> str:
    """Say what went wrong, in one line; the cause, if it was raised in another process."""
    cause = getattr(exc, "cause", None) or exc
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    if not lines:
        return type(cause).__name__
    # Ray quotes a whole traceback, whose last line says it
    text = f"{lines[0]} … {lines[-1]}" if "Traceback" in str(cause) else " ".join(lines)
    return text if _is_ours(cause) else f"{type(cause).__name__}: {text}"[:FOREIGN]


class Condition:
    """Something that may go wrong for a while: logged when it begins, when it changes, and when it is over."""

    def __init__(self, logger: structlog.stdlib.BoundLogger, wrong: str, right: str) -> None:
        self._log = logger
        self._wrong, self._right = wrong, right
        self._problem: str | None = None
        self._logged = 0.0

    def raised(self, problem: str, **context: Any) -> None:
        """It is so, for this reason."""
        now = time.monotonic()
        if self._problem is None or (problem != self._problem and now > self._logged + QUIET):
            self._log.warning(self._wrong, **context, error=problem)
            self._logged = now
        self._problem = problem

    @property
    def present(self) -> bool:
        """Return whether it was so when it was last looked at."""
        return self._problem is not None

    def cleared(self, **context: Any) -> None:
        """It is not so."""
        if self._problem is not None:
            self._log.warning(self._right, **context)
        self._problem = None


def note_restart(logger: Any) -> None:
    """Log that the process of this actor died, if it is a new one in its place."""
    import ray

    if not ray.is_initialized():
        return
    context = ray.get_runtime_context()
    if context.get_actor_id() is not None and context.was_current_actor_reconstructed:
        logger.warning("started again: the process before this one died")


@contextmanager
def relay_logs(path: Path, *, json: bool = False) -> Iterator[dict[str, str]]:
    """Print the events of other processes while the block runs; gives the variables that these must have."""
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(str(path))
    thread = threading.Thread(target=_print, args=(receiver, json), name="logs", daemon=True)
    thread.start()
    try:
        yield {SOCKET: str(path)}
    finally:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(path))
        thread.join(timeout=5)
        receiver.close()


def _print(receiver: socket.socket, json: bool) -> None:
    renderers: list[Any] = _renderers(json)
    printed: dict[str, float] = {}
    while data := receiver.recv(2**17):
        with suppress(orjson.JSONDecodeError):  # only processes of this user reach the socket
            event = orjson.loads(data)
            now = time.monotonic()
            printed = {text: at for text, at in printed.items() if now < at + ALIKE}
            text = str({name: value for name, value in event.items() if name not in ("timestamp", "source")})
            if text not in printed:
                for render in renderers:
                    event = render(None, event.get("level", "info"), event)
                structlog.PrintLogger(sys.stderr).msg(event)
            printed.setdefault(text, now)


def _sent(_: Any, __: str, event: Event) -> Event:
    """Send an event to whoever prints those of all processes; nobody waits for it."""
    with suppress(OSError, KeyError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(orjson.dumps(event, default=str), os.environ[SOCKET])
    return event


def _renderers(json: bool) -> list[structlog.typing.Processor]:
    if json:
        return [structlog.processors.JSONRenderer()]
    return [_only_visible, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]


def _exception_in_a_line(_: Any, __: str, event: Event) -> Event:
    if event.pop("exc_info", None):
        exc = sys.exc_info()[1]
        if exc is not None:
            event["error"] = describe_error(exc)
    return event


def _only_visible(_: Any, __: str, event: Event) -> Event:
    """Make texts from outside fit for a terminal; a traceback keeps its lines."""
    shown = {visible(n): visible(v)[:LONGEST] if isinstance(v, str) else v for n, v in event.items()}
    if isinstance(event.get("exception"), str):
        shown["exception"] = "\n".join(visible_lines(event["exception"]))
    return shown


class LogHandler(logging.Handler):
    """Warnings of libraries, as events."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # arguments that do not fit the text
            text = str(record.msg)
        if record.exc_info and record.exc_info[1]:
            text = f"{text}: {describe_error(record.exc_info[1])}"
        level = "error" if record.levelno >= logging.ERROR else "warning"
        getattr(get_logger(record.name), level)(" ".join(text.split())[:FOREIGN])


def _thread_died(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        name = args.thread.name if args.thread else "?"
        get_logger("threads").error("a thread died", thread=name, error=describe_error(args.exc_value))


def _is_ours(exc: BaseException) -> bool:
    from foreshock_models.errors import ForeshockError

    return isinstance(exc, ForeshockError)
