"""Messages of Ray about processes that died, as events of the log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from foreshock.logs import get_logger

__all__ = ["ray_messages"]

PID = re.compile(r"\bPID: (\d+)")
log = get_logger("ray")


@contextmanager
def ray_messages() -> Iterator[None]:
    """Log what Ray tells a driver while the block runs; Ray prints it in colour, a page for each process."""
    from ray._private import worker as module

    worker: Any = module
    before = worker.print_to_stdstream
    worker.print_to_stdstream = _log
    try:
        yield
    finally:
        worker.print_to_stdstream = before


def _log(data: dict[str, Any], ignore_prefix: bool = False) -> None:
    text = " ".join(" ".join(map(str, data["lines"])).split())
    found = PID.search(text)
    more = {"pid": int(found[1])} if found else {}
    log.warning(text.partition(". ")[0].rstrip("."), **more)
