"""Warnings of Ray Serve's controller, which watches replicas and proxies, as events of the log."""

from __future__ import annotations

import logging

from foreshock.logs import LogHandler, set_up_logging

__all__ = ["relay_warnings"]

MEANT = ("won't accept connections from HAProxy on other nodes",)
"""Warnings of Serve that are meant so: parts of the text."""


class _Meant(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not any(part in record.getMessage() for part in MEANT)


def relay_warnings() -> None:
    """Send what Serve logs as a warning where events go (``RAY_SERVE_CONTROLLER_CALLBACK_IMPORT_PATH``)."""
    set_up_logging()
    handler = LogHandler(logging.WARNING)
    handler.addFilter(_Meant())
    logging.getLogger("ray.serve").addHandler(handler)
