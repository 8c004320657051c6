"""Give requests of routes that are tested alone the principal that the whole application would give them."""

from __future__ import annotations

from typing import Any

from foreshock.api.authorization import PRINCIPAL
from foreshock.identity.model import Principal, everything

__all__ = ["asked_by"]


def asked_by(app: Any, principal: Principal | None = None) -> Any:
    """Return the application, asked by somebody who may do everything, or by `principal`."""

    async def ask(scope: Any, receive: Any, send: Any) -> None:
        scope[PRINCIPAL] = principal or everything("installation", "api-token")
        await app(scope, receive, send)

    return ask
