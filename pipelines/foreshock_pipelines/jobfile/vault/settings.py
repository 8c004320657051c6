"""Settings of Vault, from the environment: the names of Vault's own command line, and more of their kind."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile.durations import Duration

__all__ = ["Login", "VaultSettings", "load_vault_settings"]

Login = Literal["token", "approle", "kubernetes"]


class VaultSettings(BaseSettings):
    """Address of Vault, and how to sign in there: by one of token, AppRole and Kubernetes."""

    model_config = SettingsConfigDict(env_prefix="VAULT_", frozen=True, extra="ignore", env_ignore_empty=True)

    addr: str | None = Field(None, description="URL of Vault or OpenBao; beyond this machine, https")
    token: SecretStr | None = Field(None, description="sign in by this token; it is renewed while it is in use")
    token_file: Path | None = Field(
        None, description="the token is in this file, as Vault's agent writes it; read again when it ends"
    )
    role_id: str | None = Field(None, description="sign in by AppRole: id of the role")
    secret_id: SecretStr | None = Field(None, description="secret id of the AppRole")
    secret_id_file: Path | None = Field(None, description="the secret id is in this file")
    kubernetes_role: str | None = Field(None, description="sign in by the service account of a pod: role in Vault")
    kubernetes_token_file: Path = Field(
        Path("/var/run/secrets/kubernetes.io/serviceaccount/token"), description="token of the service account"
    )
    auth_mount: str | None = Field(None, description="path of the login method; default: `approle` or `kubernetes`")
    namespace: str | None = Field(None, description="namespace in Vault")
    cacert: Path | None = Field(
        None, description="certificates that sign Vault's own; default: those of the system"
    )
    kv_mount: str = Field("secret", description="path of the KV engine, version 2, of `${vault:path#key}`")
    transit_mount: str = Field("transit", description="path of the engine of `ENCRYPTION_KEY=transit:NAME`")
    keep: Duration = Field(
        timedelta(hours=24),
        description="how long a process goes on with what it read from Vault while Vault is away",
    )

    @field_validator("addr")
    @classmethod
    def _safe(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be a URL, as in https://vault.example:8200")
        if parts.username or parts.password or parts.query:
            raise ValueError("holds more than an address; credentials have variables of their own")
        if parts.scheme == "http" and not _is_here(parts.hostname):
            raise ValueError("secrets would cross the network in clear; use https, with VAULT_CACERT if need be")
        return value.rstrip("/")

    @property
    def login(self) -> Login:
        """The one method of signing in that is set up.

        Raises
        ------
        ConfigError
            There is none, or more than one.
        """
        found: list[Login] = []
        if self.token or self.token_file:
            found.append("token")
        if self.role_id:
            found.append("approle")
        if self.kubernetes_role:
            found.append("kubernetes")
        if len(found) != 1:
            raise ConfigError(
                f"{'several ways' if found else 'no way'} to sign in at Vault: set one of VAULT_TOKEN, "
                "VAULT_TOKEN_FILE, VAULT_ROLE_ID (with VAULT_SECRET_ID or VAULT_SECRET_ID_FILE), "
                "VAULT_KUBERNETES_ROLE"
            )
        return found[0]


def load_vault_settings() -> VaultSettings:
    """Settings from the environment.

    Raises
    ------
    ConfigError
        One line per wrong variable; or VAULT_ADDR is not set.
    """
    try:
        found = VaultSettings()
    except ValidationError as exc:
        lines = [
            f"VAULT_{'_'.join(map(str, e['loc'])).upper()}: {e['msg'].removeprefix('Value error, ')}"
            for e in exc.errors(include_input=False)
        ]
        raise ConfigError("\n".join(lines)) from None
    if found.addr is None:
        raise ConfigError("VAULT_ADDR is not set; set it to the URL of Vault, as in https://vault.example:8200")
    return found


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
