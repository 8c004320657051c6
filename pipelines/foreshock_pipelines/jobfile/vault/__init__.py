"""Secrets and keys of HashiCorp Vault or OpenBao: KV version 2 and transit, by hvac."""

from __future__ import annotations

from foreshock_pipelines.jobfile.vault.client import Vault, the_vault
from foreshock_pipelines.jobfile.vault.settings import VaultSettings, load_vault_settings

__all__ = ["Vault", "VaultSettings", "load_vault_settings", "the_vault"]
