"""Sign in, stay signed in, and out: what is refused, and what it tells."""

from __future__ import annotations

import hashlib
import time
from types import SimpleNamespace
from typing import Any

import pyotp
import pytest
import sqlalchemy as sa

from foreshock.audit.repository import AuditRepository
from foreshock.identity.repository import IdentityRepository
from foreshock.identity.sessions import CodeNeeded
from foreshock.runtime.maintenance import Maintenance
from foreshock.store import team_tables as t
from foreshock_models.errors import AccessError, ConfigError, StateError

PASSWORD = "three green tortoises"


def header(token: str) -> str:
    return f"Bearer {token}"


def test_a_person_who_signs_in_is_known_by_the_access_token(here: Any) -> None:
    here.add("anna", "operator", "web-*")
    done = here.sessions.login("Anna ", PASSWORD)
    who = here.verifier().verify(header(done.access_token))
    assert (who.kind, who.name, who.tenant) == ("person", "anna", "default")
    assert who.may("alerts:act", "web-1")
    assert not who.may("alerts:act", "db")
    assert not who.may("models:train", "web-1")


def test_nothing_is_allowed_before_the_first_password_is_changed(here: Any) -> None:
    person, first = here.people.add("anna", "admin")
    done = here.sessions.login("anna", first)
    assert here.verifier().verify(header(done.access_token)).permissions == frozenset()
    here.sessions.change_password(person.id, done.session, first, PASSWORD)
    assert here.verifier().verify(header(done.access_token)).may("users:write")


@pytest.mark.parametrize("name", ["anna", "nobody", "", "x" * 500, "a\0b", "é"])
def test_a_wrong_login_says_the_same_whoever_it_names(here: Any, name: str) -> None:
    here.add("anna")
    with pytest.raises(AccessError) as raised:
        here.sessions.login(name, "a wrong password")
    assert (
        str(raised.value)
        == "name, password or code is wrong, or too many attempts failed; wait a while and try again"
    )


def test_a_wrong_login_takes_as_long_for_a_name_that_nobody_has(here: Any) -> None:
    here.add("anna")

    def seconds(name: str) -> float:
        took = []
        for i in range(5):
            begun = time.perf_counter()
            with pytest.raises(AccessError):
                here.sessions.login(name, f"wrong {i}")
            took.append(time.perf_counter() - begun)
        return min(took)

    seconds("nobody")
    assert 0.5 < seconds("anna") / seconds("somebody else") < 2


def test_after_five_failures_even_the_right_password_has_to_wait_longer_and_longer(here: Any) -> None:
    here.add("anna")
    key = hashlib.sha256(b"anna").hexdigest()
    waits = []
    for _ in range(8):
        with pytest.raises(AccessError):
            here.sessions.login("anna", "wrong")
        with here.store.read() as c:
            locked = IdentityRepository(here.store).attempts(c, key)[1] / 1000
        waits.append(max(0.0, locked - here.clock.now))
        if waits[-1]:
            with pytest.raises(AccessError):
                here.sessions.login("anna", PASSWORD)
            here.clock.now = locked + 0.001
    assert waits[:4] == [0, 0, 0, 0]
    assert waits[4:] == pytest.approx([2, 4, 8, 16], abs=0.01)
    here.sessions.login("anna", PASSWORD)


def test_a_refresh_token_is_good_once_and_its_reuse_ends_the_session(here: Any) -> None:
    here.add("anna")
    first = here.sessions.login("anna", PASSWORD)
    second = here.sessions.refresh(first.refresh_token)
    here.verifier().verify(header(second.access_token))
    with pytest.raises(AccessError):
        here.sessions.refresh(first.refresh_token)
    for token in (second.refresh_token, first.refresh_token):
        with pytest.raises(AccessError):
            here.sessions.refresh(token)
    for token in (first.access_token, second.access_token):
        with pytest.raises(AccessError, match="session is over"):
            here.verifier().verify(header(token))
    with here.store.read() as c:
        newest = AuditRepository(here.store).find(c, act="auth:reuse")
    assert [entry.who for entry in newest] == ["anna"]


@pytest.mark.parametrize("seconds", [7 * 86_400 + 1, 31 * 86_400])
def test_a_session_that_is_not_used_or_is_old_is_over(here: Any, seconds: float) -> None:
    here.add("anna")
    done = here.sessions.login("anna", PASSWORD)
    here.clock.now += seconds
    with pytest.raises(AccessError):
        here.sessions.refresh(done.refresh_token)


def test_a_session_ends_thirty_days_after_the_login_however_often_it_is_used(here: Any) -> None:
    here.add("anna")
    token = here.sessions.login("anna", PASSWORD).refresh_token
    for _ in range(5):
        here.clock.now += 6 * 86_400 - 1
        token = here.sessions.refresh(token).refresh_token
    here.clock.now += 10
    with pytest.raises(AccessError):
        here.sessions.refresh(token)


def test_logout_disabling_and_a_new_password_end_sessions(here: Any) -> None:
    person = here.add("anna")
    here.add("boss", "admin")
    done = [here.sessions.login("anna", PASSWORD) for _ in range(4)]

    def alive() -> list[bool]:
        found = []
        for one in done:
            try:
                here.verifier().verify(header(one.access_token))
                found.append(True)
            except AccessError:
                found.append(False)
        return found

    here.sessions.logout(done[0].session)
    assert alive() == [False, True, True, True]
    here.sessions.change_password(person, done[1].session, PASSWORD, PASSWORD + " and one")
    assert alive() == [False, True, False, False]
    here.people.disable("anna")
    assert alive() == [False] * 4
    with pytest.raises(AccessError):
        here.sessions.login("anna", PASSWORD + " and one")


@pytest.mark.parametrize(
    "password", ["", "short", "x" * 257, "aaaaaaaaaaaaaaa", "annaannaannaanna", "qwertyuiopas", "123456789012"]
)
def test_a_password_that_is_guessed_at_once_is_refused_without_being_quoted(here: Any, password: str) -> None:
    person = here.add("anna")
    done = here.sessions.login("anna", PASSWORD)
    with pytest.raises(ConfigError, match="password") as raised:
        here.sessions.change_password(person, done.session, PASSWORD, password)
    assert not password or password not in str(raised.value)


def test_a_second_factor_is_asked_for_and_each_code_is_good_once(here: Any) -> None:
    person = here.add("anna")
    secret, uri = here.sessions.begin_second_factor(person, PASSWORD)
    assert secret in uri
    totp = pyotp.TOTP(secret)
    with pytest.raises(AccessError, match="code is wrong"):
        here.sessions.confirm_second_factor(
            person, "000000" if totp.at(int(here.clock.now)) != "000000" else "000001"
        )
    codes = here.sessions.confirm_second_factor(person, totp.at(int(here.clock.now)))
    with pytest.raises(CodeNeeded):
        here.sessions.login("anna", PASSWORD)
    with pytest.raises(AccessError):  # the code that turned it on was used
        here.sessions.login("anna", PASSWORD, totp.at(int(here.clock.now)))
    here.clock.now += 60
    here.sessions.login("anna", PASSWORD, totp.at(int(here.clock.now)))
    with pytest.raises(AccessError):
        here.sessions.login("anna", PASSWORD, totp.at(int(here.clock.now)))
    here.sessions.login("anna", PASSWORD, codes[0].upper().replace("-", ""))
    with pytest.raises(AccessError):
        here.sessions.login("anna", PASSWORD, codes[0])
    here.clock.now += 60
    here.sessions.end_second_factor(person, PASSWORD, codes[1])
    here.sessions.login("anna", PASSWORD)


def test_the_secret_of_a_second_factor_and_tokens_are_not_readable_in_the_store(here: Any) -> None:
    person = here.add("anna")
    secret, _ = here.sessions.begin_second_factor(person, PASSWORD)
    done = here.sessions.login("anna", PASSWORD)
    here.store.close()
    stored = b"".join(path.read_bytes() for path in here.home.glob("store.db*"))
    for text in (secret, PASSWORD, done.access_token, done.refresh_token):
        assert text.encode() not in stored


def test_the_last_administrator_stays(here: Any) -> None:
    here.add("boss", "admin")
    for act in (lambda: here.people.disable("boss"), lambda: here.people.set_roles("boss", [])):
        with pytest.raises(StateError, match="administer"):
            act()
    here.add("other", "admin")
    here.people.disable("boss")


def test_the_first_start_makes_one_administrator_and_a_second_none(here: Any) -> None:
    password = here.people.first_administrator()
    assert password is not None
    assert here.people.first_administrator() is None
    assert here.sessions.login("admin", password).person.must_change


def test_sessions_that_ended_long_ago_are_deleted_with_their_refresh_tokens(here: Any) -> None:
    here.add("anna")
    here.sessions.login("anna", PASSWORD)
    here.clock.now += 40 * 86_400
    here.sessions.login("anna", PASSWORD)
    engine = SimpleNamespace(store=here.store, publisher=None)
    maintenance = Maintenance(engine)  # type: ignore[arg-type]
    counts = []
    for days in (0, 21):
        now_ms = round((here.clock.now + days * 86_400) * 1000)
        maintenance.run({}, {}, now_ms)
        with here.store.read() as c:
            tables = (t.sessions, t.refresh_tokens)
            counts.append([c.execute(sa.select(sa.func.count()).select_from(each)).scalar_one() for each in tables])
    assert counts == [[3, 3], [1, 1]]  # two of before: the first login changed the password
