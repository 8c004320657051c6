"""From scores to alerts: rules for features, N of M, hysteresis. Changing a policy needs no training."""

from __future__ import annotations

from foreshock_models.policy.policy import Policy, Step, Walk, severity
from foreshock_models.policy.presence import last_samples, note_samples, rows_taken, with_series, without_series
from foreshock_models.policy.profile import Profile
from foreshock_models.policy.rules import Rule

__all__ = [
    "Policy", "Profile", "Rule", "Step", "Walk", "last_samples", "note_samples", "rows_taken", "severity",
    "with_series", "without_series",
]  # fmt: skip
