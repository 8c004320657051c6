"""Single sign-on by OpenID Connect: the file, the provider, and the person that a sign-in makes."""

from __future__ import annotations

from foreshock.identity.oidc.config import OidcConfig, load_oidc
from foreshock.identity.oidc.provider import Provider
from foreshock.identity.oidc.sign_in import GroupRefused, SingleSignOn

__all__ = ["GroupRefused", "OidcConfig", "Provider", "SingleSignOn", "load_oidc"]
