"""The alert policy of a job file."""

from __future__ import annotations

from foreshock_models.policy import Policy, Rule
from foreshock_pipelines.jobfile import Job

__all__ = ["alert_policy"]


def alert_policy(job: Job) -> Policy:
    """Return the alert policy of a job file."""
    rules = {
        name: Rule(
            query.direction,
            query.min_deviation.fraction if query.min_deviation else 0.0,
            bool(query.min_deviation and query.min_deviation.percent),
        )
        for name, query in job.queries.items()
    }
    votes = job.alerts.for_
    return Policy(
        votes.needed, votes.of, job.alerts.resolve_after.total_seconds(), rules=rules,
        while_warming=job.alerts.while_warming,
    )  # fmt: skip
