"""Every error that Foreshock raises on purpose.

::

    ForeshockError
    ├── ConfigError             a job file or a setting is wrong
    ├── SourceError             windows cannot be read
    │   ├── SourceUnavailable   the source is down, refuses, or is too slow
    │   └── QueryError          the query is wrong, or its result cannot become a window
    │       ├── NoSamples       no query gave a series in that time range
    │       └── QueryTooLarge   a limit of the server; a shorter range may be within it
    ├── DataError               windows that a model cannot use: shape, order, features
    │   └── NotEnoughData       too few usable rows
    ├── NotFitted               a model was asked before it was fitted
    ├── ArtifactError           a saved model is damaged, or from a newer version
    ├── RegistryError           no such model, version or alias; a publish that failed
    ├── StoreError              the store of alerts, runs and scores
    │   └── StateError          what was asked does not fit the state that something is in
    ├── JobError                a train, tune, score, backtest or forecast job failed
    ├── VaultError              Vault refuses, or has no such secret
    │   └── VaultAway           Vault gives no answer
    ├── HttpError               a request over HTTP got no answer, or none of 2xx
    ├── AccessError             nobody is signed in, or not as somebody who may do this
    ├── InstallationError       the machine does not give what an installation needs: home, ports, Ray
    ├── NotifyError             a notification could not be delivered
    │   └── NotificationRefused the receiver refuses this notification; it may accept others
    └── WriteError              scores or forecasts could not be written into Prometheus

Errors of other libraries are translated once, at the boundary, with ``from exc``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AccessError",
    "ArtifactError",
    "ConfigError",
    "DataError",
    "ForeshockError",
    "HttpError",
    "InstallationError",
    "JobError",
    "NoSamples",
    "NotEnoughData",
    "NotFitted",
    "NotificationRefused",
    "NotifyError",
    "QueryError",
    "QueryTooLarge",
    "RegistryError",
    "SourceError",
    "SourceUnavailable",
    "StateError",
    "StoreError",
    "VaultAway",
    "VaultError",
    "WriteError",
    "allowed",
]

LONGEST_WORD = 200
"""Letters of a word that a near one is looked for: it takes as long as the product of both lengths."""
SHOWN = 50
"""Allowed words that a message lists."""


class ForeshockError(Exception):
    """Base of all errors of this project. Its text says what was wrong, what is allowed, what to do."""

    def _render_traceback_(self) -> list[str]:
        """The traceback that IPython shows: the text, without the calls of libraries that led to it."""
        return [f"{type(self).__name__}: {self}", "(the whole traceback: import traceback; traceback.print_last())"]


class ConfigError(ForeshockError):
    """A job file or a setting is wrong."""


class SourceError(ForeshockError):
    """Windows could not be read from a source."""


class SourceUnavailable(SourceError):
    """The source is down, refuses the connection or the credentials, or is too slow."""


class QueryError(SourceError):
    """A query is wrong, or its result cannot become a window."""


class NoSamples(QueryError):
    """No query gave a series in that time range."""


class QueryTooLarge(QueryError):
    """The query is beyond a limit of the server; over a shorter range it may be within it."""


class DataError(ForeshockError):
    """Windows that a model cannot use: wrong shape, order or features."""


class NotEnoughData(DataError):
    """Too few usable rows to do what was asked."""


class NotFitted(ForeshockError):
    """A model was used before it was fitted."""


class ArtifactError(ForeshockError):
    """A saved model is damaged, incomplete, or of a newer format."""


class RegistryError(ForeshockError):
    """No such model, version or alias, or a publish that could not be completed."""


class StoreError(ForeshockError):
    """The store could not be read or written."""


class StateError(StoreError):
    """A request that does not fit the state of its object, as an acknowledgement of a resolved alert."""


class JobError(ForeshockError):
    """A train, tune, score, backtest or forecast job failed."""


class AccessError(ForeshockError):
    """Nobody is signed in, or not as somebody who may do this; the message tells nothing of what exists."""


class VaultError(ForeshockError):
    """Vault refuses, or has no such secret."""


class VaultAway(VaultError):
    """Vault gives no answer."""


class HttpError(ForeshockError):
    """A request over HTTP got no answer, or none of 2xx; source, notifiers and writers make their own error of it.

    Attributes
    ----------
    status
        Of the answer; None if there was none.
    server_message
        What the server reported.
    retriable
        The same request may succeed later.
    retry_after
        Seconds that the server asks to wait.
    """

    def __init__(
        self,
        text: str,
        *,
        status: int | None = None,
        server_message: str = "",
        retriable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(text)
        self.status, self.server_message, self.retriable, self.retry_after = (
            status,
            server_message,
            retriable,
            retry_after,
        )

    def reworded(self, text: str) -> HttpError:
        """The same error with another text."""
        return HttpError(
            text,
            status=self.status,
            server_message=self.server_message,
            retriable=self.retriable,
            retry_after=self.retry_after,
        )


class InstallationError(ForeshockError):
    """The machine does not give what an installation needs: its home, its ports, a Ray cluster."""


class NotifyError(ForeshockError):
    """A notification could not be delivered.

    Attributes
    ----------
    retry_after
        Seconds that the receiver asks to wait; None: it says nothing.
    """

    def __init__(self, text: str, *, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class NotificationRefused(NotifyError):
    """The receiver answers, and refuses this notification; it may accept others."""


class WriteError(ForeshockError):
    """Samples could not be written into Prometheus; they may be tried again."""


def allowed(word: str, words: Iterable[str]) -> str:
    """Say what was allowed in place of `word`, the nearest one first.

    >>> allowed("ifrest", ["iforest", "lstm"])
    "did you mean 'iforest'? Allowed: iforest, lstm"
    """
    options = sorted(set(words))
    near = difflib.get_close_matches(word, options, n=1) if len(word) <= LONGEST_WORD else []
    hint = f"did you mean {near[0]!r}? " if near else ""
    more = f" and {len(options) - SHOWN} more" if len(options) > SHOWN else ""
    return f"{hint}Allowed: {', '.join(options[:SHOWN]) or 'nothing'}{more}"
