"""The rule of an alert: N of M rows."""

from __future__ import annotations

from foreshock_models.errors import ConfigError
from foreshock_models.kernels.layout import MAX_VOTES

__all__ = ["check_votes"]


def check_votes(needed: int, of: int) -> None:
    """Raise ConfigError for a rule that can never be met, or that is longer than what is remembered."""
    if not 1 <= needed <= of <= MAX_VOTES:
        raise ConfigError(
            f"an alert of {needed} of {of} rows is impossible; N of M needs 1 <= N <= M <= {MAX_VOTES}"
        )
