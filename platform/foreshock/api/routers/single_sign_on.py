"""``/auth/oidc``: sign in at a provider, and come back with a session of this browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from foreshock.api.authorization import address_of
from foreshock.api.cookies import SESSION, SIGN_IN_STATE, cookie_of, drop_cookie, set_cookie
from foreshock.api.errors import Problem
from foreshock.identity.oidc import GroupRefused, SingleSignOn
from foreshock.identity.oidc.sign_in import LIFETIME
from foreshock.logs import get_logger
from foreshock_models.errors import AccessError, ConfigError, SourceUnavailable

__all__ = ["CALLBACK", "add_single_sign_on"]

CALLBACK = "/auth/oidc/callback"
PATH = r"^/([^/\\\x00-\x1f\x7f][^\\\x00-\x1f\x7f]*)?$"
"""A path of this installation, and no way to another host."""
Text = Annotated[str | None, Query(max_length=4096, description="as the provider gives it")]
log = get_logger("identity")


def add_single_sign_on(app: FastAPI, backend: Callable[[], Any]) -> None:
    """Add the routes; `backend` gives the `Ingress` of this replica."""

    @app.get("/auth/oidc/login", tags=["auth"], status_code=303)
    async def begin(
        request: Request,
        then: Annotated[str, Query(max_length=1000, pattern=PATH, description="path to go to in the end")] = "/",
    ) -> Response:
        """Lead a browser to the provider of single sign-on; 404 if none is configured."""
        departure = await _asked(_single_sign_on(backend()).depart, then)
        response = RedirectResponse(departure.url, 303, {"Cache-Control": "no-store"})
        set_cookie(response, SIGN_IN_STATE, departure.cookie, LIFETIME, "lax")
        return response

    @app.get(CALLBACK, tags=["auth"], status_code=303)
    async def arrive(
        request: Request, state: Text = None, code: Text = None, iss: Text = None, error: Text = None
    ) -> Response:
        """Take the browser back from the provider: a session cookie, and on to the path that was asked for.

        401: it was not begun in this browser, or the answer is invalid; 403: no group has a role.
        """
        sign_on, address = _single_sign_on(backend()), address_of(request.scope)
        cookie = cookie_of(request.scope, SIGN_IN_STATE)
        if code is None or error is not None:
            await _asked(sign_on.refuse, cookie, state or "", address)
            raise Problem(401, f"the provider did not sign you in: {error or 'it gave no code'}")
        done, then = await _asked(sign_on.arrive, cookie, state or "", code, iss, address)
        response = RedirectResponse(then, 303, {"Cache-Control": "no-store"})
        set_cookie(response, SESSION, done.cookie, done.expires_in)
        drop_cookie(response, SIGN_IN_STATE, "lax")
        return response


def _single_sign_on(here: Any) -> SingleSignOn:
    found: SingleSignOn | None = here.identity.single_sign_on
    if found is None:
        raise Problem(404, "Not Found")
    return found


async def _asked(act: Callable[..., Any], *args: Any) -> Any:
    """An act that asks the provider; what is wrong on this side is for the log."""
    try:
        return await run_in_threadpool(act, *args)
    except GroupRefused as exc:
        raise Problem(403, str(exc)) from exc
    except AccessError:
        raise
    except (SourceUnavailable, ConfigError) as exc:
        log.error("single sign-on does not work", error=str(exc))
        raise Problem(503, "single sign-on does not work now; the log of the HTTP API says why") from exc
