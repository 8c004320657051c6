"""Tables of people, their roles, tokens and sessions, and of keys that sign."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    false,
)  # fmt: skip

from foreshock.store.scope import DEFAULT_TENANT
from foreshock.store.tables import metadata

__all__ = [
    "DEFAULT_TENANT",
    "api_tokens",
    "attempts",
    "grants",
    "people",
    "refresh_tokens",
    "sessions",
    "sign_in_states",
    "signing_keys",
]


def tenant(*, primary_key: bool = False) -> Column[str]:
    """The tenant that a row belongs to."""
    return Column("tenant", String(64), primary_key=primary_key, nullable=False, server_default=DEFAULT_TENANT)


tenants = Table(
    "tenants", metadata,
    Column("name", String(64), primary_key=True),
    Column("created_ms", BigInteger, nullable=False),
    comment="the tenants of this installation",
)  # fmt: skip

people = Table(
    "people", metadata, 
    Column("id", String(32), primary_key=True),
    tenant(),
    Column("name", String(128), nullable=False, unique=True, comment="in lower case"),
    Column("password", Text, comment="argon2id; null: signs in elsewhere"),
    Column("must_change", Boolean, nullable=False, server_default=false()),
    Column("second_factor", LargeBinary, comment="TOTP secret, sealed"),
    Column("second_factor_on", Boolean, nullable=False, server_default=false()),
    Column("second_factor_step", BigInteger, nullable=False, server_default="0", comment="a code is good once"),
    Column("recovery", JSON, nullable=False, comment="SHA-256 of the recovery codes that are left"),
    Column("created_ms", BigInteger, nullable=False),
    Column("disabled_ms", BigInteger),
    Column("external", String(64), comment="SHA-256 of issuer and subject at a provider"),
    Index("people_by_external", "external", unique=True),
)  # fmt: skip

grants = Table(
    "grants", metadata, 
    tenant(primary_key=True),
    Column("person", String(32), primary_key=True),
    Column("role", String(16), primary_key=True),
    Column("jobs", String(64), primary_key=True, comment="name of a job; * stands for any letters"),
    comment="roles of people, each for the jobs that a pattern names",
)  # fmt: skip

api_tokens = Table(
    "api_tokens", metadata, 
    Column("id", String(32), primary_key=True),
    tenant(),
    Column("name", String(128), nullable=False),
    Column("digest", String(64), nullable=False, unique=True, comment="SHA-256 of the token"),
    Column("scopes", JSON, nullable=False, comment="permissions"),
    Column("jobs", String(64), nullable=False),
    Column("made_by", String(128), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, comment="by the hour"),
    Column("revoked_ms", BigInteger),
)  # fmt: skip

sessions = Table(
    "sessions", metadata, 
    Column("id", String(32), primary_key=True),
    tenant(),
    Column("person", String(32), nullable=False, index=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger),
    Column("reason", String(64), comment="of the revocation"),
    Column("cookie", String(64), comment="SHA-256 of the cookie of a browser"),
    Index("sessions_by_expiry", "expires_ms"),
    Index("sessions_by_cookie", "cookie", unique=True),
    comment="one login, and the refresh tokens that follow from it",
)  # fmt: skip

refresh_tokens = Table(
    "refresh_tokens", metadata, 
    Column("digest", String(64), primary_key=True, comment="SHA-256 of the token"),
    tenant(),
    Column("session", String(32), nullable=False, index=True),
    Column("issued_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger, comment="a second use revokes the session"),
)  # fmt: skip

attempts = Table(
    "attempts", metadata, 
    Column("key", String(64), primary_key=True, comment="SHA-256 of the name, whether somebody has it or not"),
    tenant(),
    Column("failures", Integer, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("locked_ms", BigInteger, nullable=False, comment="no login until then"),
    comment="logins that failed, since the last that did not",
)  # fmt: skip

sign_in_states = Table(
    "sign_in_states", metadata,
    Column("digest", String(64), primary_key=True, comment="SHA-256 of the state"),
    tenant(),
    Column("expires_ms", BigInteger, nullable=False),
    Index("sign_in_states_by_expiry", "expires_ms"),
    comment="states of single sign-on that came back: each is good once",
)  # fmt: skip

signing_keys = Table(
    "signing_keys", metadata, 
    Column("id", String(32), primary_key=True),
    tenant(),
    Column("purpose", String(16), nullable=False),
    Column("algorithm", String(16), nullable=False),
    Column("public", LargeBinary, nullable=False),
    Column("private", LargeBinary, comment="sealed; null once it signs no more"),
    Column("created_ms", BigInteger, nullable=False),
    Column("retired_ms", BigInteger, comment="signs nothing from then on"),
)  # fmt: skip

audit = Table(
    "audit", metadata, 
    tenant(primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("who_hash", String(64), nullable=False),
    Column("address_hash", String(64), nullable=False),
    Column("rest_hash", String(64), nullable=False),
    Column("people_hash", String(64), comment="null before this version"),
    Column("leaf", String(64), nullable=False),
    comment="leaves of the audit log; triggers refuse UPDATE and DELETE",
)  # fmt: skip

audit_details = Table(
    "audit_details", metadata, 
    tenant(primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("who", String(128)),
    Column("who_salt", String(32)),
    Column("address", String(64)),
    Column("address_salt", String(32)),
    Column("rest_salt", String(32), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("act", String(64), nullable=False),
    Column("subject", String(512), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("data", Text, nullable=False, comment="JSON"),
    Column("people", Text, comment="what of subject and data names a person, JSON"),
    Column("people_salt", String(32)),
    Column("pseudonym", String(32), comment="in place of who"),
    Index("audit_details_by_act", "tenant", "act", "seq"),
    comment="entries in words; of who and address, triggers allow erasure alone",
)  # fmt: skip

audit_heads = Table(
    "audit_heads", metadata, 
    tenant(primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("frontier", Text, nullable=False, comment="hashes of the full subtrees"),
)  # fmt: skip

audit_checkpoints = Table(
    "audit_checkpoints", metadata, 
    tenant(primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("signatures", JSON, nullable=False, comment="key id to signature"),
    comment="the newest, and one for each 256 entries",
)  # fmt: skip

erasures = Table(
    "erasures", metadata, 
    tenant(primary_key=True),
    Column("began_ms", BigInteger, nullable=False),
    comment="tenants that are being deleted; their audit log may be deleted with them",
)  # fmt: skip

for table in (
    people, grants, api_tokens, sessions, refresh_tokens, attempts, sign_in_states, signing_keys, audit,
    audit_details, audit_heads, audit_checkpoints, erasures, tenants,
):  # fmt: skip
    # their repositories name the tenant: who asks, and for which tenant, is found in them first
    table.info["unscoped"] = True
