"""Secrets at rest: sealed by keys that the environment, a file or Vault holds."""

from __future__ import annotations

from foreshock.secrets.key_source import key_file, open_keyring, secret_setting
from foreshock.secrets.keyring import Keyring
from foreshock.secrets.sealing import seal, sealing_key, unseal

__all__ = ["Keyring", "key_file", "open_keyring", "seal", "sealing_key", "secret_setting", "unseal"]
