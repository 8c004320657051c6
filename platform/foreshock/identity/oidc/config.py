"""The single sign-on file: the provider, the client, and which groups have which roles."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator

from foreshock.identity.model import ALL_JOBS, RoleGrant, check_jobs
from foreshock.identity.permissions import check_role
from foreshock.store.scope import DEFAULT_TENANT
from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile import Duration, HttpConfig
from foreshock_pipelines.jobfile.base import Model
from foreshock_pipelines.jobfile.document import parse_yaml
from foreshock_pipelines.jobfile.text import read_text
from foreshock_pipelines.jobfile.validation_errors import lines_of
from foreshock_pipelines.jobfile.variables import expand

__all__ = ["GroupRule", "OidcConfig", "load_oidc"]

Claim = Annotated[str, Field(min_length=1, max_length=128)]
LONGEST_SESSION = timedelta(days=30)


class GroupRule(Model):
    """The role that a group at the provider has."""

    group: str = Field(min_length=1, max_length=512, description="name of the group, as its claim has it")
    role: str = Field(description="viewer, operator, editor or admin")
    tenant: str = Field(DEFAULT_TENANT, max_length=64, description="tenant in which the role holds")
    jobs: str = Field(ALL_JOBS, description="jobs that it is for: a name, with * for any letters")

    @field_validator("role")
    @classmethod
    def _role(cls, value: str) -> str:
        try:
            return check_role(value)
        except ConfigError as exc:
            raise ValueError(str(exc)) from exc

    @field_validator("jobs")
    @classmethod
    def _jobs(cls, value: str) -> str:
        try:
            return check_jobs(value)
        except ConfigError as exc:
            raise ValueError(str(exc)) from exc


class OidcConfig(Model):
    """One single sign-on file."""

    issuer: str = Field(max_length=2000, description="URL of the provider, as its discovery document names itself")
    client_id: str = Field(min_length=1, max_length=512, description="id of Foreshock at the provider")
    client_secret: SecretStr | None = Field(None, description="secret of the client; none: a public client")
    client_secret_file: Path | None = Field(None, description="file with the secret, read at each sign-in")
    http: HttpConfig = Field(default_factory=HttpConfig, description="how to reach the provider: TLS, proxy")
    scopes: list[Claim] = Field(["openid", "profile"], min_length=1, max_length=20, description="asked for")
    name_claim: Claim = Field("preferred_username", description="claim that names a person")
    groups_claim: Claim = Field("groups", description="claim with the groups of a person")
    session: Duration = Field(timedelta(hours=12), description="how long somebody stays signed in, at most 30d")
    roles: list[GroupRule] = Field(
        min_length=1, max_length=1000, description="who has which role; nobody else gets in"
    )

    @field_validator("issuer")
    @classmethod
    def _issuer(cls, value: str) -> str:
        return check_address(value, "issuer")

    @field_validator("scopes")
    @classmethod
    def _openid(cls, value: list[str]) -> list[str]:
        return value if "openid" in value else ["openid", *value]

    @field_validator("session")
    @classmethod
    def _bounded(cls, value: timedelta) -> timedelta:
        if not timedelta(minutes=1) <= value <= LONGEST_SESSION:
            raise ValueError(f"a session lasts 1m to {LONGEST_SESSION.days}d")
        return value

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if self.client_secret is not None and self.client_secret_file is not None:
            raise ValueError("give client_secret or client_secret_file, or neither")
        return self

    def secret(self) -> str | None:
        """Return the secret of the client; ConfigError if its file cannot be read."""
        if self.client_secret is not None:
            return self.client_secret.get_secret_value()
        if self.client_secret_file is None:
            return None
        try:
            text = self.client_secret_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            why = getattr(exc, "strerror", None) or "it is not UTF-8 text"
            raise ConfigError(f"{self.client_secret_file}: the client's secret cannot be read: {why}") from exc
        if not text:
            raise ConfigError(f"{self.client_secret_file}: is empty; it is to hold the client's secret")
        return text

    def grants(self, groups: Iterable[str]) -> tuple[str, tuple[RoleGrant, ...]] | None:
        """Return tenant and roles of somebody in these groups; None if no rule is about one of them.

        A person belongs to one tenant: that of the first rule that matches. The roles of all rules of that tenant
        that match add up.
        """
        theirs = set(groups)
        found = [rule for rule in self.roles if rule.group in theirs]
        if not found:
            return None
        tenant = found[0].tenant
        roles = dict.fromkeys(RoleGrant(rule.role, rule.jobs) for rule in found if rule.tenant == tenant)
        return tenant, tuple(roles)


def check_address(value: str, what: str) -> str:
    """Return an address that tokens may go to: HTTPS, or HTTP on this machine.

    Raises
    ------
    ValueError
        Another one.
    """
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
    except ValueError as exc:
        raise ValueError(f"{what}: {value[:200]!r} is no URL") from exc
    if not host or parts.username or parts.query or parts.fragment or parts.scheme not in ("https", "http"):
        raise ValueError(f"{what}: write a URL without user, query and fragment, as in https://login.example.org")
    if parts.scheme == "http" and not _is_loopback(host):
        raise ValueError(f"{what}: must be https://; http:// is for a provider on this machine alone")
    return value


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load_oidc(path: Path, env: Mapping[str, str] | None = None) -> OidcConfig:
    """Read the single sign-on file.

    Raises
    ------
    ConfigError
        One line per mistake: file, key, what was wrong, what is allowed.
    """
    data = parse_yaml(read_text(path), str(path))
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a single sign-on file is a mapping with issuer, client_id and roles")
    data = expand(data, os.environ if env is None else env, str(path))
    try:
        found = OidcConfig.model_validate(data)
    except ValidationError as exc:
        raise ConfigError(lines_of(exc, str(path), OidcConfig)) from None
    return found.absolute(path.absolute().parent)
