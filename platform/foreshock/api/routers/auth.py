"""``/auth``: sign in and out, and see to one's own password and second factor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from foreshock.api.authorization import Asking, SignedInPerson, address_of
from foreshock.api.cookies import SESSION, credential_of, csrf_token, drop_cookie, set_cookie
from foreshock.api.errors import Problem
from foreshock.api.schemas import Body, body_schema
from foreshock.identity.passwords import LONGEST
from foreshock.identity.second_factor import qr_svg
from foreshock.identity.sessions import CodeNeeded, SignedIn
from foreshock_models.errors import AccessError

__all__ = ["add_auth"]

Secret = Annotated[str, Field(min_length=1, max_length=LONGEST)]
Code = Annotated[
    str, Field(min_length=6, max_length=64, description="of the authenticator app, or a recovery code")
]
ReadJson = Callable[..., Awaitable[Any]]
NOT_KEPT = {"Cache-Control": "no-store"}


class Login(Body):
    """Name and password, and a code if a second factor is on."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    password: Secret
    code: Code | None = None
    cookie: Annotated[
        bool, Field(description="true: a cookie for this browser and csrf_token, in place of tokens")
    ] = False


class Refresh(Body):
    """A refresh token, which is good once."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=256)]


class NewPassword(Body):
    """The password as it is, and as it shall be."""

    old: Secret
    new: Secret


class Proof(Body):
    """The password, and a code where one is needed."""

    password: Secret
    code: Code | None = None


class FirstCode(Body):
    """A code of the app that has just been set up."""

    code: Code


def add_auth(app: FastAPI, backend: Callable[[], Any], read_json: ReadJson) -> None:
    """Add the routes; `backend` gives the `Ingress` of this replica, `read_json` a checked body."""
    _sessions(app, backend, read_json)
    _own(app, backend, read_json)


def _sessions(app: FastAPI, backend: Callable[[], Any], read_json: ReadJson) -> None:
    @app.post("/auth/login", tags=["auth"], openapi_extra=body_schema(Login))
    async def login(request: Request) -> Response:
        """Sign in: an access token for ten minutes, and a refresh token for the next one.

        With ``cookie``, a browser gets a cookie instead; requests that change something then carry ``csrf_token``
        in the header ``X-CSRF-Token``. 401 says the same whatever was wrong; with ``code_needed`` the password is
        right and a code is missing.
        """
        body: Login = await read_json(request, Login, backend().max_body)
        sessions, address = backend().identity.sessions, address_of(request.scope)
        try:
            done = await run_in_threadpool(
                lambda: sessions.login(body.name, body.password, body.code, address, cookie=body.cookie)
            )
        except CodeNeeded as exc:
            raise Problem(401, str(exc), errors=[{"at": "code", "message": "code_needed"}]) from exc
        return _signed_in(done)

    @app.post("/auth/refresh", tags=["auth"], openapi_extra=body_schema(Refresh))
    async def refresh(request: Request) -> Response:
        """Give new tokens for a refresh token. One that comes a second time ends the session."""
        body: Refresh = await read_json(request, Refresh, backend().max_body)
        sessions, address = backend().identity.sessions, address_of(request.scope)
        return _signed_in(await run_in_threadpool(sessions.refresh, body.refresh_token, address))

    @app.post("/auth/logout", tags=["auth"], status_code=204)
    async def logout(request: Request, caller: SignedInPerson) -> Response:
        """End the session; its tokens are refused within seconds."""
        await run_in_threadpool(backend().identity.sessions.logout, caller.session)
        backend().verifier.forget()
        response = Response(status_code=204)
        if credential_of(request.scope)[1] is not None:
            drop_cookie(response, SESSION)
        return response


def _own(app: FastAPI, backend: Callable[[], Any], read_json: ReadJson) -> None:
    @app.get("/auth/me", tags=["auth"])
    async def me(request: Request, caller: Asking) -> dict[str, Any]:
        """Say who asks, and what they may do, for which jobs; to a browser, its ``csrf_token``, too."""
        _, cookie = credential_of(request.scope)
        return {
            "kind": caller.kind,
            "name": caller.name,
            "tenant": caller.tenant,
            "must_change_password": caller.must_change,
            "grants": [{"permissions": sorted(g.permissions), "jobs": g.jobs} for g in caller.grants],
            **({} if cookie is None else {"csrf_token": csrf_token(cookie)}),
        }

    @app.post("/auth/password", tags=["auth"], status_code=204, openapi_extra=body_schema(NewPassword))
    async def password(request: Request, caller: SignedInPerson) -> Response:
        """Change one's password; all other sessions end."""
        body: NewPassword = await read_json(request, NewPassword, backend().max_body)
        change = backend().identity.sessions.change_password
        await _checked(change, caller.id, caller.session, body.old, body.new)
        backend().verifier.forget()
        return Response(status_code=204)

    @app.post("/auth/second-factor", tags=["auth"], openapi_extra=body_schema(Proof))
    async def begin(request: Request, caller: SignedInPerson) -> Response:
        """Begin with a second factor: the secret, as text, URI and QR code, for an authenticator app."""
        body: Proof = await read_json(request, Proof, backend().max_body)
        made = backend().identity.sessions.begin_second_factor
        secret, uri = await _checked(made, caller.id, body.password)
        return JSONResponse({"secret": secret, "uri": uri, "svg": qr_svg(uri)}, headers=NOT_KEPT)

    @app.put("/auth/second-factor", tags=["auth"], openapi_extra=body_schema(FirstCode))
    async def confirm(request: Request, caller: SignedInPerson) -> Response:
        """Turn it on by a first code; gives recovery codes, each good once."""
        body: FirstCode = await read_json(request, FirstCode, backend().max_body)
        codes = await _checked(backend().identity.sessions.confirm_second_factor, caller.id, body.code)
        return JSONResponse({"recovery_codes": codes}, headers=NOT_KEPT)

    @app.delete("/auth/second-factor", tags=["auth"], status_code=204, openapi_extra=body_schema(Proof))
    async def end(request: Request, caller: SignedInPerson) -> Response:
        """Take the second factor away; needs the password and a code."""
        body: Proof = await read_json(request, Proof, backend().max_body)
        await _checked(backend().identity.sessions.end_second_factor, caller.id, body.password, body.code or "")
        return Response(status_code=204)


async def _checked(act: Callable[..., Any], *args: Any) -> Any:
    """An act of somebody who is signed in: a wrong password or code is 403, for the session is good."""
    try:
        return await run_in_threadpool(act, *args)
    except AccessError as exc:
        raise Problem(403, str(exc)) from exc


def _signed_in(done: SignedIn) -> Response:
    if done.cookie:
        body = {"csrf_token": csrf_token(done.cookie), "must_change_password": done.person.must_change}
        response = JSONResponse({**body, "expires_in": done.expires_in}, headers=NOT_KEPT)
        set_cookie(response, SESSION, done.cookie, done.expires_in)
        return response
    return JSONResponse(
        {
            "access_token": done.access_token,
            "token_type": "Bearer",
            "expires_in": done.expires_in,
            "refresh_token": done.refresh_token,
            "must_change_password": done.person.must_change,
        },
        headers=NOT_KEPT,
    )
