"""``/ai/jobs``: which jobs run, under which policy, and what is wrong with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Request

from foreshock.api.authorization import allow
from foreshock.identity.model import Principal

__all__ = ["add_jobs", "ask_control_loop"]

PATIENCE = 5.0


def add_jobs(app: FastAPI, backend: Callable[[], Any]) -> None:
    """Add the route; `backend` gives the `Ingress` of this replica."""

    @app.get("/ai/jobs", tags=["jobs"])
    async def jobs(request: Request, caller: Annotated[Principal, allow("jobs:read")]) -> dict[str, Any]:
        """Jobs: model, last scored time, the policy in force, and why a changed job file is not (`refused`)."""
        found = await ask_control_loop("status")
        if found is None:
            alone = {"problem": "only the HTTP API runs here, or the control loop does not answer", "refused": None}
            found = {"now": None, "replaying": False, "jobs": dict.fromkeys(backend().jobs, alone)}
        jobs = backend().jobs_for(caller, "jobs:read")
        tenants = found.pop("tenants", {})
        mine = {
            name: job
            for name, job in found["jobs"].items()
            if caller.tenant == tenants.get(name, caller.tenant) and (jobs is None or jobs.admits(name))
        }
        return {**found, "jobs": mine}


async def ask_control_loop(method: str, *args: Any) -> Any:
    """The answer of the control loop; None if it does not, or none runs."""
    import ray

    from foreshock.runtime.actors import CONTROL_LOOP, NAMESPACE

    if not ray.is_initialized():  # asking for an actor would start a cluster
        return None
    try:
        actor = ray.get_actor(CONTROL_LOOP, namespace=NAMESPACE)
        return await asyncio.wait_for(getattr(actor, method).remote(*args), PATIENCE)
    except (ValueError, TimeoutError, ray.exceptions.RayError):
        return None
