"""One notifier with all that may go wrong in it: made, used and left alone for a while, without harm to others."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from foreshock.notify.registry import Notifier, RepeatingNotifier, make_notifier
from foreshock.notify.secrets import masked
from foreshock_models.errors import ForeshockError, NotificationRefused
from foreshock_pipelines.jobfile import NotifierConfig

__all__ = ["Failure", "Sender", "pause_ms"]

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
"""Seconds. An Alertmanager that is back after an outage must hear of live alerts within a minute."""


LONGEST_ASKED = 3600.0
"""Seconds that a receiver may ask to be left alone."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why notifications were not delivered.

    Attributes
    ----------
    reason : one line without secrets
    refused : the receiver refuses these notifications and may accept others
    foreseen : it is an error of Foreshock's own; else the notifier has a fault, maybe with these notifications only
    retry_after : seconds that the receiver asks to wait
    """

    reason: str
    refused: bool = False
    foreseen: bool = True
    retry_after: float | None = None


class Sender:
    """Makes a notifier when it is first needed, and sends with it; nothing that it raises leaves this class.

    One thread at a time may send.

    Attributes
    ----------
    failures : failures in a row
    resume_ms : nothing is sent before that, ms since the epoch
    """

    def __init__(self, config: NotifierConfig, make: Callable[[NotifierConfig], Notifier] = make_notifier) -> None:
        self.config = config
        self.failures = 0
        self.resume_ms = 0
        self._failed_ms = 0
        self.batch = 1
        self.repeat_every: float | None = None
        self._make = make
        self._notifier: Notifier | None = None
        self._repeating: RepeatingNotifier | None = None
        self._since: float | None = None

    @property
    def ready(self) -> bool:
        """The notifier could be made."""
        return self._notifier is not None

    @property
    def busy_seconds(self) -> float:
        """How long the call that is under way takes already."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def prepare(self) -> Failure | None:
        """Make the notifier, unless it is made already."""
        return None if self.ready else self._contained(self._prepare)

    def send(self, payloads: Sequence[dict[str, Any]]) -> Failure | None:
        """Send at most `batch` notifications, all or, as far as is known, none."""
        return self.prepare() or self._contained(lambda: self._send(payloads))

    def succeeded(self) -> None:
        self.failures = 0

    def failed(self, now_ms: int, retry_after: float | None = None) -> None:
        """Leave the receiver alone for a while, longer each time, and for as long as it asks for."""
        asked = min(retry_after or 0.0, LONGEST_ASKED)
        self._failed_ms = now_ms
        self.resume_ms = now_ms + max(pause_ms(self.failures), round(asked * 1000))
        self.failures += 1

    def resting(self, now_ms: int) -> bool:
        """True while the receiver is left alone; a clock that has been set back since ends that."""
        return self._failed_ms <= now_ms < self.resume_ms

    def _prepare(self) -> None:
        made = self._make(self.config)
        if isinstance(made, RepeatingNotifier):
            self._repeating = made
            self.batch, self.repeat_every = max(1, int(made.batch)), max(1.0, float(made.repeat_every))
        self._notifier = made

    def _send(self, payloads: Sequence[dict[str, Any]]) -> None:
        if self._repeating is not None:
            self._repeating.send_batch(payloads)
        elif self._notifier is not None:
            for payload in payloads:
                self._notifier.send(payload)

    def _contained(self, action: Callable[[], None]) -> Failure | None:
        """Run code of a notifier.

        This is the boundary to code of others: even what asks the process to exit ends here, in a thread that
        only sends.
        """
        self._since = time.monotonic()
        try:
            action()
        except NotificationRefused as exc:
            return Failure(masked(exc, self.config), refused=True)
        except ForeshockError as exc:
            return Failure(masked(exc, self.config), retry_after=getattr(exc, "retry_after", None))
        except BaseException as exc:
            return Failure(masked(exc, self.config), foreseen=False)
        finally:
            self._since = None
        return None


def pause_ms(failures: int) -> int:
    """How long to wait after so many failures before this one: twice as long each time, up to a limit."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 16))
    return round(longest * random.uniform(0.5, 1.0) * 1000)
