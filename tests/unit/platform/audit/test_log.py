"""Nothing in the audit log is changed, removed, reordered or cut off unseen."""

from __future__ import annotations

import base64
import json
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from foreshock.audit import Actor, acting, record
from foreshock.audit.merkle import verify_consistency, verify_inclusion
from foreshock.audit.model import Checkpoint
from foreshock.audit.profiles import KEPT_MS, Profiles
from foreshock.audit.repository import EACH, AuditRepository
from foreshock.audit.service import erase_people, export, forget_pseudonyms, prove, verify
from foreshock.audit.signing import rotate_keys, sign_audit, signed_by
from foreshock.audit.witness import Witness
from foreshock.secrets import open_keyring
from foreshock.store import Store, open_store
from foreshock.store import team_tables as t
from foreshock_models.errors import StateError, StoreError

ENTRIES = 12


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = sign_audit(open_store(f"sqlite:///{tmp_path}/store.db"), tmp_path)
    yield store
    store.close()


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(tmp_path)


def fill(store: Store, n: int = ENTRIES) -> None:
    for i in range(n):
        with acting(Actor(f"person-{i % 3}", "person", f"10.0.0.{i}")), store.begin() as c:
            record(store, c, "alerts:acknowledge", f"alert-{i}", why=f"reason {i}", n=i)


def test_a_log_that_nobody_touched_verifies_and_says_how_far_it_is_signed(store: Store, witness: Witness) -> None:
    fill(store)
    found = verify(store, witness)
    assert (found.problems, found.size, found.signed) == ([], ENTRIES, ENTRIES)
    with store.read() as c:
        newest = AuditRepository(store).find(c, act="alerts", who="person-1", limit=2)
    assert [(entry.seq, entry.subject, entry.address) for entry in newest] == [
        (10, "alert-10", "10.0.0.10"), (7, "alert-7", "10.0.0.7"),
    ]  # fmt: skip


def test_an_entry_is_there_if_and_only_if_the_transaction_is(store: Store, witness: Witness) -> None:
    fill(store, 3)
    with pytest.raises(ZeroDivisionError), store.begin() as c:
        record(store, c, "alerts:resolve", "alert-9")
        raise ZeroDivisionError
    fill(store, 1)
    assert (verify(store, witness).problems, verify(store, witness).size) == ([], 4)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET at_ms = at_ms + 1", "DELETE FROM audit", "DELETE FROM audit_details WHERE seq = 3",
        "UPDATE audit_details SET who = 'somebody else'", "UPDATE audit_details SET data = '{}'",
        "UPDATE audit_details SET subject = subject || 'x'", "UPDATE audit_details SET who_salt = 'x'",
        "UPDATE audit_details SET seq = seq + 100",
    ],
)  # fmt: skip
def test_the_database_refuses_to_change_or_delete_entries(store: Store, statement: str) -> None:
    fill(store)
    with pytest.raises(StoreError, match="audit log cannot be changed"), store.begin() as c:
        c.execute(sa.text(statement))


def tamper(c: sqlite3.Connection, draw: random.Random) -> str:
    """Change one thing, as somebody could who has the file and drops the triggers."""
    size = c.execute("SELECT count(*) FROM audit").fetchone()[0]
    seq, other = draw.randrange(size), draw.randrange(size)
    hexed = "".join(draw.choices("0123456789abcdef", k=64))
    column = draw.choice(["who_hash", "address_hash", "rest_hash", "leaf"])
    word = draw.choice(["who", "address", "act", "subject", "outcome", "kind", "who_salt", "rest_salt"])
    kind = draw.randrange(11)
    if kind == 0:
        c.execute(f"UPDATE audit SET {column} = ? WHERE seq = ?", (hexed, seq))
    elif kind == 1:
        c.execute("UPDATE audit SET at_ms = at_ms + ? WHERE seq = ?", (draw.choice([-1, 1, 3_600_000]), seq))
    elif kind == 2:
        c.execute(f"UPDATE audit_details SET {word} = ? WHERE seq = ?", (f"x{hexed[:8]}", seq))
    elif kind == 3:
        c.execute("UPDATE audit_details SET data = ? WHERE seq = ?", (json.dumps({"n": hexed}), seq))
    elif kind == 4:  # remove one, and close the gap
        for table in ("audit", "audit_details"):
            c.execute(f"DELETE FROM {table} WHERE seq = ?", (seq,))
            c.execute(f"UPDATE {table} SET seq = -seq WHERE seq > ?", (seq,))
            c.execute(f"UPDATE {table} SET seq = -seq - 1 WHERE seq < 0")
    elif kind == 5:  # cut the end off, with all that is signed of it
        keep = draw.randrange(size)
        for table in ("audit", "audit_details"):
            c.execute(f"DELETE FROM {table} WHERE seq >= ?", (keep,))
        c.execute("DELETE FROM audit_checkpoints WHERE size > ?", (keep,))
        c.execute("UPDATE audit_heads SET size = ?", (keep,))
    elif kind == 6:
        other = (seq + 1) % size if other == seq else other
        for table in ("audit", "audit_details"):
            for before, after in ((seq, -1), (other, seq), (-1, other)):
                c.execute(f"UPDATE {table} SET seq = ? WHERE seq = ?", (after, before))
    elif kind == 7:
        c.execute("DELETE FROM audit_details WHERE seq = ?", (seq,))
    elif kind == 8:
        c.execute("UPDATE audit_checkpoints SET root = ?", (hexed,))
    elif kind == 9:
        signature = {kid: base64.b64encode(draw.randbytes(64)).decode() for kid in ("a", "b")}
        c.execute("UPDATE audit_checkpoints SET signatures = ?", (json.dumps(signature),))
    else:
        c.execute("UPDATE audit_details SET who = NULL, who_salt = NULL WHERE seq = ?", (seq,))
    return f"kind {kind}, entry {seq}"


def test_of_a_thousand_random_changes_each_is_found(store: Store, witness: Witness, tmp_path: Path) -> None:
    fill(store)
    store.close()
    with sqlite3.connect(tmp_path / "store.db") as c:
        for (name,) in c.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            c.execute(f"DROP TRIGGER {name}")
    c.close()
    draw = random.Random(7)
    missed = []
    raw = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    raw.execute("PRAGMA synchronous=OFF")
    before = {table: raw.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}
    for _ in range(1000):
        raw.execute("BEGIN")
        what = tamper(raw, draw)
        raw.execute("COMMIT")
        if not verify(store, witness).problems:
            missed.append(what)
        raw.execute("BEGIN")
        for table, rows in before.items():
            raw.execute(f"DELETE FROM {table}")
            raw.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(rows[0]))})", rows)
        raw.execute("COMMIT")
    raw.close()
    assert missed == []
    assert verify(store, witness).problems == []


TABLES = ("audit", "audit_details", "audit_heads", "audit_checkpoints")


def test_a_log_that_somebody_signed_with_keys_of_their_own_is_found(
    store: Store, witness: Witness, tmp_path: Path
) -> None:
    fill(store)
    (tmp_path / "other").mkdir()
    other = sign_audit(open_store(f"sqlite:///{tmp_path}/other/store.db"), tmp_path / "other")
    fill(other, ENTRIES + 1)
    problems = verify(other, witness).problems
    other.close()
    assert any("not signed by keys" in problem for problem in problems)
    assert any("were removed or changed" in problem for problem in problems)


def test_both_signatures_must_be_right(store: Store, witness: Witness) -> None:
    fill(store, 1)
    with store.read() as c:
        (made,) = AuditRepository(store).checkpoints(c)
    assert signed_by(made, witness.keys()) == {"ed25519", "ml-dsa-65"}
    for kid, (algorithm, _) in witness.keys().items():
        signatures = {**made.signatures, kid: base64.b64encode(b"x" * 64).decode()}
        wrong = Checkpoint(made.tenant, made.size, made.root, made.at_ms, signatures)
        assert signed_by(wrong, witness.keys()) == {"ed25519", "ml-dsa-65"} - {algorithm}


def test_keys_rotate_and_what_the_old_ones_signed_still_verifies(store: Store, witness: Witness) -> None:
    fill(store, EACH)
    with store.begin() as c:
        rotate_keys(store, c)
        record(store, c, "keys:rotate")
    fill(store, 3)
    assert len(witness.keys()) == 4
    assert verify(store, witness).problems == []
    with store.read() as c:
        made = AuditRepository(store).checkpoints(c)
        private = c.execute(sa.select(t.signing_keys.c.private).where(t.signing_keys.c.retired_ms.is_not(None)))
        assert private.scalars().all() == [None, None]
    assert [one.size for one in made] == [EACH, EACH + 4]
    assert not set(made[0].signatures) & set(made[1].signatures)


def test_people_are_erased_and_the_log_still_verifies(store: Store, witness: Witness, tmp_path: Path) -> None:
    fill(store)
    before_ms = 1 << 50
    assert erase_people(store, before_ms) == ENTRIES
    assert verify(store, witness).problems == []
    with store.read() as c:
        found = AuditRepository(store).find(c, act="alerts")
    assert {(entry.who, entry.address) for entry in found} == {(None, None)}
    assert found[0].data == {"why": "reason 11", "n": 11}


def test_pseudonyms_take_the_place_of_people_wherever_an_entry_names_them(
    store: Store, witness: Witness, tmp_path: Path
) -> None:
    with acting(Actor("anna", "person", "10.1.2.3")), store.begin() as c:
        record(store, c, "users:add", "benjamin", roles=["viewer"])
        record(store, c, "alerts:resolve", "a1", who="carlotta", why="restarted")
    ring = open_keyring(tmp_path)
    with store.read() as c:
        found = AuditRepository(store).find(c)
    assert [(e.subject, e.data) for e in found] == [
        ("a1", {"who": "carlotta", "why": "restarted"}), ("benjamin", {"roles": ["viewer"]}),
    ]  # fmt: skip
    assert erase_people(store, 1 << 50, ring=ring) == 2
    with acting(Actor("anna", "person", "10.1.2.3")), store.begin() as c:
        record(store, c, "alerts:resolve", "a2")
    assert erase_people(store, 1 << 50, ring=ring) == 2
    assert verify(store, witness).problems == []
    lines = json.dumps(list(export(store, witness)))
    assert [name for name in ("anna", "benjamin", "carlotta", "10.1.2.3") if name in lines] == []
    with store.read() as c:
        found = AuditRepository(store).find(c, act="alerts") + AuditRepository(store).find(c, act="users")
        (anna,) = {entry.pseudonym for entry in found}
        assert anna is not None and AuditRepository(store).find(c, who=anna) != []
        sealed = c.execute(sa.select(t.signing_keys.c.private).where(t.signing_keys.c.purpose == "pseudonyms"))
        assert len(sealed.scalars().all()) == 1
    assert forget_pseudonyms(store) and not forget_pseudonyms(store)
    with acting(Actor("anna")), store.begin() as c:
        record(store, c, "alerts:resolve", "a3")
    erase_people(store, 1 << 50, ring=ring)
    with store.read() as c:
        assert AuditRepository(store).find(c, act="alerts")[0].pseudonym not in (None, anna)
    assert verify(store, witness).problems == []


def test_a_pseudonym_that_somebody_changed_is_found_and_the_database_refuses_it(
    store: Store, witness: Witness, tmp_path: Path
) -> None:
    fill(store)
    erase_people(store, 1 << 50, ring=open_keyring(tmp_path))
    change = "UPDATE audit_details SET pseudonym = 'p-somebody-else' WHERE seq = 3"
    with store.engine.connect() as c, pytest.raises(sa.exc.DBAPIError, match="cannot be changed"):
        c.exec_driver_sql(change)
    with store.engine.connect() as c:
        c.exec_driver_sql("DROP TRIGGER audit_details_update")
        c.exec_driver_sql(change)
        c.commit()
    assert verify(store, witness).problems == ["pseudonyms of people were changed"]


def test_with_gdpr_what_is_due_is_pseudonymised_and_with_sox_nothing_is_erased_for_seven_years(
    store: Store,
) -> None:
    now_ms, day = 1_790_000_000_000, 86_400_000
    assert Profiles().due_before_ms(now_ms) is None
    assert Profiles(gdpr=True, pseudonyms_after_ms=30 * day).due_before_ms(now_ms) == now_ms - 30 * day
    assert Profiles(gdpr=True, sox=True).due_before_ms(now_ms) == now_ms - KEPT_MS
    fill(store)
    with pytest.raises(StateError, match="kept for seven years"):
        erase_people(store, 1 << 50, profiles=Profiles(sox=True))
    assert erase_people(store, 1, profiles=Profiles(sox=True)) == 0


def test_an_entry_is_proved_to_somebody_who_has_the_keys_alone(store: Store, witness: Witness) -> None:
    fill(store, EACH + 5)
    proof = json.loads(json.dumps(prove(store, 3)))
    made = Checkpoint(**proof["checkpoint"])
    assert signed_by(made, witness.keys()) == {"ed25519", "ml-dsa-65"}
    nodes = [bytes.fromhex(node) for node in proof["inclusion"]]
    leaf = bytes.fromhex(proof["leaf"])
    assert verify_inclusion(leaf, 3, made.size, nodes, bytes.fromhex(made.root))
    before = Checkpoint(**proof["consistency"]["before"])
    nodes = [bytes.fromhex(node) for node in proof["consistency"]["nodes"]]
    old, new = bytes.fromhex(before.root), bytes.fromhex(made.root)
    assert verify_consistency(before.size, made.size, nodes, old, new)
    assert signed_by(before, witness.keys()) == {"ed25519", "ml-dsa-65"}
    with pytest.raises(StoreError, match="no entry"):
        prove(store, EACH + 5)


def test_an_export_has_all_entries_checkpoints_and_keys(store: Store, witness: Witness) -> None:
    fill(store)
    lines: list[dict[str, Any]] = list(export(store, witness))
    assert [line["seq"] for line in lines if "seq" in line] == list(range(ENTRIES))
    assert lines[0]["data"] == {"why": "reason 0", "n": 0}
    assert sum("checkpoint" in line for line in lines) == 1
    assert sum("key" in line for line in lines) == 2


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 5000, "é" * 600])
def test_text_from_outside_is_kept_as_far_as_it_fits(store: Store, witness: Witness, text: str) -> None:
    with acting(Actor(text, "person", text)), store.begin() as c:
        record(store, c, "alerts:acknowledge", text, why=text.replace("\ud800", "?"))
    assert verify(store, witness).problems == []
