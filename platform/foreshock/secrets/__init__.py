"""Secrets at rest: sealed by keys that the environment or a file holds."""

from __future__ import annotations

from foreshock.secrets.keyring import Keyring, open_keyring
from foreshock.secrets.sealing import seal, sealing_key, unseal

__all__ = ["Keyring", "open_keyring", "seal", "sealing_key", "unseal"]
