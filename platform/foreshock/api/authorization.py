"""Permissions of endpoints: each declares one, and nothing of it runs for somebody who lacks it."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.requests import HTTPConnection

from foreshock.api.errors import Problem
from foreshock.audit.acting import act_as
from foreshock.identity.model import Principal
from foreshock.identity.permissions import PERMISSIONS, Permission
from foreshock.runtime._haproxy import SECRET
from foreshock.store.scope import Scope, request_scope

__all__ = [
    "OPEN_PATHS", "PRINCIPAL", "Asking", "Permit", "SignedInPerson", "address_of", "allow", "author",
    "declared", "default_deny", "describe", "principal_of", "require", "restrict",
]  # fmt: skip

OPEN_PATHS = frozenset(
    {
        "/healthz", "/readyz", "/docs", "/openapi.json", "/auth/login", "/auth/refresh", "/ack",
        "/slack/actions", "/ws/notifications", "/auth/oidc/login", "/auth/oidc/callback",
    }
)  # fmt: skip
"""Answer without a token: probes and browsers have none, who signs in has none yet, a link that acknowledges is a
credential itself, Slack signs its requests, and a WebSocket says who it is in its first message."""
PRINCIPAL = "foreshock.principal"
"""Key of a request's scope: its `Principal`."""
CLIENT = b"x-foreshock-client"
OWN = "own"
"""Stands for a permission where anybody may do it, for themselves alone."""
OTHERS = "nobody but administrators, for it declares no permission"


class Permit:
    """Dependency that lets a request pass if its principal has a permission; gives the principal.

    From then on, the request sees the rows of the principal's tenant and of the jobs that they have it for.
    """

    def __init__(self, permission: str) -> None:
        if permission not in PERMISSIONS | {OWN}:
            raise ValueError(f"no permission {permission!r}; add it to foreshock.identity.permissions")
        self.permission = permission

    async def __call__(self, connection: HTTPConnection) -> Principal:
        principal = principal_of(connection.scope)
        if self.permission != OWN:
            require(principal, self.permission)
        restrict(principal, self.permission)
        act_as(principal.actor(address_of(connection.scope)))
        return principal


def restrict(principal: Principal, permission: str) -> None:
    """Narrow what this request sees in the store to what a permission is held for."""
    jobs = None if permission == OWN else principal.jobs(permission)
    request_scope.set(Scope(principal.tenant, jobs))


def require(principal: Principal, permission: str, job: str | None = None) -> None:
    """Refuse (403) what a principal may not do."""
    if not principal.may(permission, job):
        about = "" if job is None else f" for the job {job!r}"
        why = "; change your password first: POST /auth/password" if principal.must_change else ""
        raise Problem(403, f"{principal.name} lacks the permission {permission}{about}{why}")


def author(principal: Principal, named: str | None) -> str:
    """Return whom history names for an act: a person is who they are, a program may act for somebody.

    Raises
    ------
    Problem
        422: the token of the installation is nobody's; say for whom it acts.
    """
    if principal.kind == "person":
        return principal.name
    if not named and principal.kind == "installation":
        said = "the API token is nobody's: say who acts"
        raise Problem(422, f"who: {said}", errors=[{"at": "who", "message": said}])
    return named or principal.name


def principal_of(scope: Any) -> Principal:
    """Return who a request is from."""
    principal = scope.get(PRINCIPAL)
    if not isinstance(principal, Principal):
        raise Problem(401, "send 'Authorization: Bearer TOKEN'")
    return principal


def address_of(scope: Any) -> str:
    """Return the address of the client; behind Serve's own proxy, the one that it tells.

    Whoever else sends that header does not know the secret of this run, and is not believed.
    """
    secret = os.environ.get(SECRET)
    for name, value in scope["headers"] if secret else ():
        if name == CLIENT:
            told, _, address = value.decode("latin-1").partition(" ")
            if hmac.compare_digest(told.encode(), str(secret).encode()):
                return str(address[:64])
    client = scope.get("client")
    return str(client[0]) if client else ""


Asking = Annotated[Principal, Depends(Permit(OWN))]
"""The principal that asks, about themselves."""


async def person(principal: Asking) -> Principal:
    if principal.kind != "person" or principal.session is None:
        raise Problem(403, "only a person who has signed in has a password and a second factor")
    return principal


SignedInPerson = Annotated[Principal, Depends(person)]


def allow(permission: Permission) -> Any:
    """Declare the permission of an endpoint: ``who: Annotated[Principal, allow("alerts:read")]``."""
    return Depends(Permit(permission))


async def default_deny(connection: HTTPConnection) -> None:
    """Let only the administrator of the installation reach an endpoint that declares no permission."""
    route = connection.scope.get("route")
    if connection.scope.get("path") in OPEN_PATHS or declared(route) is not None:
        return
    principal = principal_of(connection.scope)
    if principal.permissions != PERMISSIONS:
        raise Problem(403, f"{principal.name} may not use it: {OTHERS}")
    restrict(principal, OWN)


def declared(route: Any) -> str | None:
    """Return the permission that a route declares; None if it declares none."""
    if not isinstance(route, APIRoute | APIWebSocketRoute):
        return None
    found = {call.permission for call in _calls(route.dependant)}
    return next(iter(sorted(found - {OWN} or found)), None)


def _calls(dependant: Dependant) -> Iterator[Permit]:
    for one in dependant.dependencies:
        if isinstance(one.call, Permit):
            yield one.call
        yield from _calls(one)


def describe(app: FastAPI, document: dict[str, Any]) -> None:
    """Write into an OpenAPI document which permission each operation needs."""
    for route in app.routes:
        if not isinstance(route, APIRoute) or route.path not in document["paths"]:
            continue
        for method in route.methods or ():
            operation = document["paths"][route.path].get(method.lower())
            if operation is None:
                continue
            permission = declared(route)
            if route.path in OPEN_PATHS:
                operation["security"] = []
            elif permission not in (None, OWN):
                operation["security"] = [{"token": [permission]}]
                operation["x-permission"] = permission
                needs = f"Needs the permission `{permission}`."
                operation["description"] = f"{operation.get('description', '')}\n\n{needs}".strip()
