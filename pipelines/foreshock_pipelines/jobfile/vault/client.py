"""A client of Vault: signs in, reads KV version 2, and lets transit wrap keys."""

from __future__ import annotations

import base64
import functools
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from foreshock_models.errors import ConfigError, VaultAway, VaultError, allowed
from foreshock_pipelines.jobfile.vault.kept import LastKnown
from foreshock_pipelines.jobfile.vault.settings import VaultSettings, load_vault_settings

if TYPE_CHECKING:
    import hvac

__all__ = ["Vault", "the_vault"]

T = TypeVar("T")
TIMEOUT = (3.0, 10.0)
"""Seconds to connect, and to wait for an answer."""
TRIES, PAUSE = 3, 0.3
PATH = re.compile(r"[A-Za-z0-9_. @+-]+(/[A-Za-z0-9_. @+-]+)*")
LARGEST_FILE = 64 << 10
LONGEST = 300


class Vault:
    """One Vault, for all threads of a process.

    Parameters
    ----------
    now
        Seconds of a clock that never goes back.
    """

    def __init__(self, settings: VaultSettings, now: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self._now = now
        self._login = settings.login
        self._kept = LastKnown(settings.keep.total_seconds(), now)
        self._client: hvac.Client | None = None
        self._ends = float("inf")

    def read(self, path: str, key: str, *, again: bool = False) -> str:
        """Return one value of a secret in KV version 2.

        Raises
        ------
        VaultAway
            No answer, and the value is not known from before.
        VaultError
            Vault refuses, or there is no such secret or key.
        """
        if not PATH.fullmatch(path) or ".." in path.split("/"):
            raise VaultError("that is no path of a secret; write it as in team/prometheus")
        values = self._kept.get(("kv", path), lambda: self._ask(self._secret(path), path), again=again)
        found = values.get(key)
        if found is None:
            raise VaultError(f"the secret {path} has no key {key[:100]!r}; {allowed(key, list(values))}")
        if isinstance(found, dict | list | bool):
            raise VaultError(f"the key {key!r} of the secret {path} is no text")
        return str(found)

    def wrap(self, name: str, plain: bytes) -> str:
        """Encrypt by a key of transit that never leaves Vault."""

        def ask(client: hvac.Client) -> str:
            text = base64.b64encode(plain).decode()
            answer = client.secrets.transit.encrypt_data(
                name=name, plaintext=text, mount_point=self.settings.transit_mount
            )
            return str(_data(answer)["ciphertext"])

        return self._ask(ask, f"transit key {name}")

    def unwrap(self, name: str, wrapped: str) -> bytes:
        """Decrypt by a key of transit. Errors: see `read`."""

        def ask(client: hvac.Client) -> bytes:
            answer = client.secrets.transit.decrypt_data(
                name=name, ciphertext=wrapped, mount_point=self.settings.transit_mount
            )
            return base64.b64decode(_data(answer)["plaintext"])

        return self._kept.get((name, wrapped), lambda: self._ask(ask, f"transit key {name}"))

    def wrap_again(self, name: str, wrapped: str) -> str:
        """Encrypt by the newest version of a key of transit, without seeing what is encrypted."""

        def ask(client: hvac.Client) -> str:
            answer = client.secrets.transit.rewrap_data(
                name=name, ciphertext=wrapped, mount_point=self.settings.transit_mount
            )
            return str(_data(answer)["ciphertext"])

        return self._ask(ask, f"transit key {name}")

    def _secret(self, path: str) -> Callable[[hvac.Client], dict[str, Any]]:
        def ask(client: hvac.Client) -> dict[str, Any]:
            answer = client.secrets.kv.v2.read_secret_version(
                path=path, mount_point=self.settings.kv_mount, raise_on_deleted_version=True
            )
            return dict(_data(answer)["data"])

        return ask

    # -- asking ----------------------------------------------------------------------------------------
    def _ask(self, act: Callable[[hvac.Client], T], what: str) -> T:
        """Sign in if need be, and ask; a refusal is asked again once, by a new login."""
        import requests
        from hvac import exceptions as refused

        where = f"Vault at {self.settings.addr}"
        for attempt in range(TRIES):
            signed_in_before = self._client is not None
            try:
                return act(self._signed_in())
            except (refused.Forbidden, refused.Unauthorized) as exc:
                self._client = None
                if not signed_in_before or attempt == TRIES - 1:
                    raise VaultError(
                        f"{where} refuses {what}: {_line(exc)}; look at the policy and the login"
                    ) from exc
            except refused.InvalidPath as exc:
                raise VaultError(f"{where} has no {what}, or it was deleted") from exc
            except refused.InvalidRequest as exc:
                raise VaultError(f"{where} refuses {what}: {_line(exc)}") from exc
            except (refused.VaultError, requests.RequestException) as exc:
                if attempt == TRIES - 1:
                    raise VaultAway(f"{where} gives no answer: {_line(exc)}") from exc
                time.sleep(PAUSE * 2**attempt)
            except (KeyError, TypeError, ValueError) as exc:
                raise VaultError(f"{where} gave an answer about {what} that is not Vault's") from exc
        raise AssertionError("the last attempt returns or raises")

    def _signed_in(self) -> hvac.Client:
        if self._client is not None and self._now() >= self._ends:
            self._renew()
        if self._client is None:
            self._client = self._sign_in()
        return self._client

    def _sign_in(self) -> hvac.Client:
        import hvac

        s = self.settings
        verify: bool | str = str(s.cacert) if s.cacert else True
        client = hvac.Client(
            url=s.addr, token="", verify=verify, timeout=TIMEOUT, namespace=s.namespace,
            allow_redirects=False,  # the token would go along
        )  # fmt: skip
        if self._login == "token":
            client.token = _secret_of(s.token, s.token_file, "VAULT_TOKEN")
            found = _data(client.auth.token.lookup_self())
            self._note_end(found.get("ttl"))
        elif self._login == "approle":
            secret = _secret_of(s.secret_id, s.secret_id_file, "VAULT_SECRET_ID")
            answer = client.auth.approle.login(s.role_id, secret, mount_point=s.auth_mount or "approle")
            self._note_end(answer["auth"].get("lease_duration"))
        else:
            token = _read(s.kubernetes_token_file, "VAULT_KUBERNETES_TOKEN_FILE")
            answer = client.auth.kubernetes.login(
                s.kubernetes_role, token, mount_point=s.auth_mount or "kubernetes"
            )
            self._note_end(answer["auth"].get("lease_duration"))
        return client

    def _renew(self) -> None:
        """Renew a token that was given; another login follows for what cannot be renewed."""
        from hvac import exceptions as refused

        client, self._client = self._client, None
        if client is None or self._login != "token":
            return
        try:
            self._note_end(client.auth.token.renew_self()["auth"].get("lease_duration"))
        except (refused.Forbidden, refused.InvalidRequest):
            return
        self._client = client

    def _note_end(self, seconds: Any) -> None:
        """Renew a login when two thirds of its time are over; 0 is for ever."""
        self._ends = self._now() + 2 / 3 * float(seconds) if seconds else float("inf")


def the_vault() -> Vault:
    """The Vault of the environment, the same object for all who ask in this process.

    Raises
    ------
    ConfigError
        It is not set up, or wrongly.
    """
    return _vault(load_vault_settings())


@functools.lru_cache(maxsize=4)
def _vault(settings: VaultSettings) -> Vault:
    return Vault(settings)


def _data(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise ValueError("not JSON")
    return dict(answer["data"])


def _secret_of(value: Any, path: Path | None, name: str) -> str:
    if path is not None:
        return _read(path, f"{name}_FILE")
    if value is None:
        raise ConfigError(f"{name} or {name}_FILE is not set")
    return str(value.get_secret_value())


def _read(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE).decode().strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(
            f"{name}: {path}: cannot be read: {getattr(exc, 'strerror', None) or 'not text'}"
        ) from None


def _line(exc: BaseException) -> str:
    """Vault's own words, or the innermost reason of the network; neither holds a secret."""
    if getattr(exc, "errors", None):
        text = ", ".join(map(str, exc.errors))  # type: ignore[attr-defined]
    else:
        inner: BaseException = exc
        while (deeper := getattr(inner, "reason", None) or inner.__cause__ or inner.__context__) is not None:
            if not isinstance(deeper, BaseException):
                break
            inner = deeper
        text = getattr(inner, "strerror", None) or type(inner).__name__
    return " ".join(text.split())[:LONGEST]
