"""Tokens of programs and of sessions: only those that this installation made, while they are good."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from foreshock.identity.access_tokens import AccessTokens, given_keys
from foreshock.identity.model import Grant, Principal, everything
from foreshock.identity.permissions import INSTALLATION, PERMISSIONS, ROLES
from foreshock.secrets import open_keyring
from foreshock.store.store import Store
from foreshock_models.errors import AccessError, ConfigError

PASSWORD = "three green tortoises"
ALL = everything("local", "root")


def forged(token: str, **changes: Any) -> dict[str, str]:
    """Tokens that look like `token` and are not ours."""
    header = {name: value for name, value in jwt.get_unverified_header(token).items() if name != "alg"}
    claims = jwt.decode(token, options={"verify_signature": False}) | changes
    other = Ed25519PrivateKey.generate()

    def unsigned(alg: str) -> str:
        parts = [json.dumps({**header, "alg": alg}), json.dumps(claims)]
        return ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts) + "."

    head, body, signature = token.split(".")
    other_body = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "x"}).encode()).decode().rstrip("=")
    return {
        "another key": jwt.encode(claims, other, "EdDSA", headers=header),
        "another key, no id": jwt.encode(claims, other, "EdDSA", headers={"typ": "at+jwt"}),
        "alg none": unsigned("none"),
        "alg None": unsigned("None"),
        "HMAC": jwt.encode(claims, "a-secret-that-is-long-enough-for-hs256", "HS256", headers=header),
        "claims changed": f"{head}.{other_body}.{signature}",
        "signature cut": f"{head}.{body}.{signature[:-8]}",
        "no signature": f"{head}.{body}.",
    }


def test_access_tokens_that_others_made_are_refused(here: Any) -> None:
    here.add("anna", "admin")
    token = here.sessions.login("anna", PASSWORD).access_token
    here.verifier().verify(f"Bearer {token}")
    for name, other in forged(token).items():
        with pytest.raises(AccessError):
            here.verifier().verify(f"Bearer {other}")
            pytest.fail(name)


def test_an_access_token_is_good_for_ten_minutes(here: Any) -> None:
    here.add("anna")
    token = here.sessions.login("anna", PASSWORD).access_token
    here.clock.now += 600
    here.verifier().verify(f"Bearer {token}")
    here.clock.now += 10
    with pytest.raises(AccessError, match="expired"):
        here.verifier().verify(f"Bearer {token}")


def test_after_rotation_new_tokens_have_another_key_and_old_ones_stay_good(here: Any) -> None:
    here.add("anna")
    old = here.sessions.login("anna", PASSWORD).access_token
    with here.store.begin() as c:
        here.access.rotate(c)
    new = here.sessions.login("anna", PASSWORD).access_token
    assert jwt.get_unverified_header(old)["kid"] != jwt.get_unverified_header(new)["kid"]
    here.access._read = -1e9
    for token in (old, new):
        here.verifier().verify(f"Bearer {token}")


def test_a_token_of_a_program_may_do_what_its_scopes_say_until_it_ends(here: Any) -> None:
    made, token = here.tokens.make("ci", ["alerts:read"], by=ALL, jobs="web-*", lifetime=timedelta(days=1))
    verifier = here.verifier()
    here.clock.now = made.created_ms / 1000
    who = verifier.verify(f"Bearer {token}")
    assert who.permissions == {"alerts:read"}
    assert not who.may("alerts:read", "db")
    here.clock.now += 86_401
    with pytest.raises(AccessError, match="expired"):
        here.verifier().verify(f"Bearer {token}")


def test_a_revoked_token_is_refused_within_five_seconds(here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from foreshock.identity import verification

    assert verification.REMEMBERED <= 5
    monkeypatch.setattr(verification, "REMEMBERED", 0.05)
    made, token = here.tokens.make("ci", ["viewer"], by=ALL)
    here.clock.now = made.created_ms / 1000
    verifier, header = here.verifier(), f"Bearer {token}"
    verifier.verify(header)
    here.tokens.revoke(made.id[:6])
    import time

    time.sleep(0.06)
    assert verifier.known(header) is None
    with pytest.raises(AccessError):
        verifier.verify(header)


def test_nobody_gives_a_token_what_they_do_not_have(here: Any) -> None:
    editor = Principal("person", "1", "ed", "default", (Grant(ROLES["editor"], "web-*"),))
    here.tokens.make("own", ["alerts:act"], by=editor, jobs="web-*")
    for scopes, jobs in ((["admin"], "web-*"), (["users:write"], "*"), (["alerts:act"], "*")):
        with pytest.raises(AccessError, match="do not have"):
            here.tokens.make("more", scopes, by=editor, jobs=jobs)


@pytest.mark.parametrize("scopes", [[], ["nothing:do"], ["viewers"], ["alerts"]])
def test_a_scope_that_there_is_not_is_refused(here: Any, scopes: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"scope|no permission or role"):
        here.tokens.make("ci", scopes, by=ALL)


def test_each_role_holds_all_of_the_one_before_it_and_reading_changes_nothing() -> None:
    assert ROLES["viewer"] < ROLES["operator"] < ROLES["editor"] < ROLES["admin"] == PERMISSIONS
    assert not ROLES["editor"] & (INSTALLATION - {"metrics:read"} | {"users:write", "tokens:write", "audit:read"})
    assert {p.partition(":")[2] for p in ROLES["viewer"]} == {"read", "create"}


def test_tokens_are_refused_while_the_store_is_away_and_the_installations_own_is_not(here: Any) -> None:
    from foreshock_models.errors import StoreError

    _, token = here.tokens.make("ci", ["viewer"], by=ALL)
    gone = Store(here.store.engine)
    here.store.close()
    for path in here.home.glob("store.db*"):
        path.unlink()
    verifier = here.verifier()
    verifier._store = gone
    with pytest.raises(StoreError):
        verifier.verify(f"Bearer {token}")
    assert verifier.verify("Bearer the-installation's").kind == "installation"


def test_a_given_secret_signs_and_the_one_before_it_verifies(here: Any) -> None:
    older, newer, other = (letter * 32 for letter in "abc")
    made = {
        text: AccessTokens(here.store, lambda: open_keyring(here.home), here.clock, given_keys(text))
        for text in (older, f"{newer}, {older}", newer, other)
    }
    with here.store.begin() as c:
        before = made[older].sign(c, "anna", "default", "s")
        after = made[f"{newer}, {older}"].sign(c, "anna", "default", "s")
        stored = here.access.sign(c, "anna", "default", "s")
    assert jwt.get_unverified_header(before)["kid"] != jwt.get_unverified_header(after)["kid"]
    for token in (before, after, stored):
        assert made[f"{newer}, {older}"].verify(token).person == "anna"
    assert made[newer].verify(after).person == "anna"
    for text, token in ((newer, before), (other, before), (other, after)):
        with pytest.raises(AccessError):
            made[text].verify(token)


def test_a_given_secret_that_is_short_is_refused_and_rotation_says_where_to_put_another(here: Any) -> None:
    with pytest.raises(ConfigError, match="JWT_SECRET_KEY: at least 32 characters") as raised:
        given_keys("hunter2," + "x" * 40)
    assert "hunter2" not in str(raised.value)
    fixed = AccessTokens(here.store, lambda: open_keyring(here.home), here.clock, given_keys("x" * 32))
    with here.store.begin() as c, pytest.raises(ConfigError, match="put a new one before it"):
        fixed.rotate(c)
    assert given_keys(None) == given_keys("") == []
