"""Alert policies: scores to alerts by rules, N of M and hysteresis. Changing a policy needs no training."""

from __future__ import annotations

from foreshock_models.policy.policy import EntityState, Policy, PolicyResult, severity
from foreshock_models.policy.presence import (
    last_samples,
    record_samples,
    rows_processed,
    with_series,
    without_series,
)
from foreshock_models.policy.rules import Rule

__all__ = [
    "EntityState",
    "Policy",
    "PolicyResult",
    "Rule",
    "last_samples",
    "record_samples",
    "rows_processed",
    "severity",
    "with_series",
    "without_series",
]  # fmt: skip
