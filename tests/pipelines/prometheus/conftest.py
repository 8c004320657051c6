"""Jobs over one Prometheus."""

from __future__ import annotations

from typing import Any

from tests.servers.faulty import EMPTY, Faulty, Reply

from foreshock_pipelines.jobfile import Job

__all__ = ["EMPTY", "Faulty", "Reply", "make_job"]


def make_job(url: str, queries: dict[str, Any] | None = None, **keys: Any) -> Job:
    """A job over one Prometheus; `source` adds to how it is reached."""
    source = {"prometheus": url, "retries": 0, **keys.pop("source", {})}
    return Job.model_validate(
        {"name": "test", "source": source, "queries": queries or {"cpu": "cpu"}, "entity": ["instance"], **keys}
    )
