"""Use cases of the audit log: verify it, prove an entry, export it, erase people from it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from foreshock.audit.merkle import append, consistency_proof, inclusion_proof, root_of
from foreshock.audit.model import commitment, leaf_of
from foreshock.audit.personal import forget_key, pseudonym_key
from foreshock.audit.profiles import Profiles
from foreshock.audit.repository import AuditRepository, entry_of, named, record
from foreshock.audit.signing import ALGORITHMS, signed_by
from foreshock.audit.witness import Witness
from foreshock.secrets import Keyring
from foreshock.store import team_tables as t
from foreshock.store.store import Store
from foreshock_models.errors import StateError, StoreError

__all__ = ["Verification", "erase_people", "export", "forget_pseudonyms", "prove", "pseudonymise_due", "verify"]

MOST_PROBLEMS = 20
ERASED = "audit:erase"


@dataclass
class Verification:
    """The result of a look at a whole log.

    Attributes
    ----------
    problems : what was changed, removed or added, at most `MOST_PROBLEMS`
    """

    tenant: str
    size: int = 0
    root: str = ""
    signed: int = 0
    problems: list[str] = field(default_factory=list)

    def say(self, problem: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)


def verify(store: Store, witness: Witness, tenant: str = t.DEFAULT_TENANT) -> Verification:
    """Compute the log again from its entries, and compare it with its signed checkpoints and with the witness."""
    repository, found = AuditRepository(store, tenant), Verification(tenant)
    with store.read() as c:
        checkpoints = repository.checkpoints(c)
        seen = witness.seen(tenant)
        wanted = {made.size for made in checkpoints} | ({seen[0]} if seen else set())
        roots = _walk(repository, c, found, wanted)
        head = repository.head(c, 0)
    if (head.size, head.root) != (found.size, found.root):
        found.say(f"the head of the log is of {head.size} entries, and there are {found.size}")
    if seen and roots.get(seen[0]) != seen[1]:
        found.say(
            f"the log had {seen[0]} entries when it was last seen, and they are not the first of it now: entries "
            "were removed or changed"
        )
    keys = witness.keys()
    for made in checkpoints:
        if roots.get(made.size) != made.root:
            found.say(f"the signed checkpoint of {made.size} entries is not of these entries")
        elif set(ALGORITHMS) - signed_by(made, keys):
            found.say(f"the checkpoint of {made.size} entries is not signed by keys of {witness.path}")
        else:
            found.signed = made.size
    if found.size > found.signed:
        found.say(f"entries {found.signed} to {found.size - 1} are not covered by a signed checkpoint")
    return found


def _walk(repository: AuditRepository, c: Connection, found: Verification, wanted: set[int]) -> dict[int, str]:
    """Check each entry; gives the roots at the sizes that are wanted."""
    frontier: list[bytes] = []
    roots: dict[int, str] = {}
    missing: list[tuple[int, int]] = []
    erasures: list[int] = []
    pseudonyms, said = hashlib.sha256(), hashlib.sha256().hexdigest()
    for row in repository.leaves(c):
        seq = row["seq"]
        if seq != found.size:
            found.say(f"entry {found.size} is missing" if seq > found.size else f"entry {seq} is there twice")
        hashes = (row[f"{name}_hash"] for name in ("who", "address", "rest", "people"))
        leaf = leaf_of(repository.tenant, seq, row["at_ms"], *hashes)
        if leaf.hex() != row["leaf"]:
            found.say(f"entry {seq} was changed")
        frontier = append(frontier, found.size, leaf)
        found.size += 1
        if found.size in wanted:
            roots[found.size] = root_of(frontier).hex()
        if row["d_seq"] is None:
            found.say(f"the words of entry {seq} are missing")
            continue
        if _differs(row):
            found.say(f"the words of entry {seq} were changed")
        if None in (row["d_who"], row["d_who_salt"], row["d_address"], row["d_address_salt"]) or (
            row["people_hash"] is not None and None in (row["d_people"], row["d_people_salt"])
        ):
            missing.append((seq, row["at_ms"]))
        if row["d_pseudonym"] is not None:
            pseudonyms.update(named(seq, row["d_pseudonym"]))
        if row["d_act"] == ERASED and not _differs(row):
            data = orjson.loads(row["d_data"])
            erasures.append(int(data.get("before_ms", 0)))
            said = data.get("pseudonyms", said)
    for seq, at_ms in missing:
        if at_ms >= max(erasures, default=0):
            found.say(f"who did entry {seq} was taken away, and no entry says so")
    if pseudonyms.hexdigest() != said:
        found.say("pseudonyms of people were changed")
    found.root = root_of(frontier).hex()
    return roots


def _differs(row: Any) -> bool:
    """Return whether words are not those that the leaf commits to; what was erased is not compared."""
    try:
        words = {"at_ms": 0} | {name[2:]: row[name] for name in row if name.startswith("d_")}
        entry = entry_of(words, whole=False)
        rest = commitment("rest", row["d_rest_salt"], entry.rest())
    except (ValueError, TypeError):
        return True
    for name in ("who", "address", "people"):
        if row[f"d_{name}_salt"] is None:
            if row[f"d_{name}"] is not None:
                return True
            continue
        if commitment(name, row[f"d_{name}_salt"], (row[f"d_{name}"] or "").encode()) != row[f"{name}_hash"]:
            return True
    return bool(rest != row["rest_hash"])


def prove(store: Store, seq: int, tenant: str = t.DEFAULT_TENANT) -> dict[str, Any]:
    """Return one entry with the hashes that lead to the newest signed checkpoint, so that others can verify it.

    Raises
    ------
    StoreError
        There is no such entry.
    StateError
        No checkpoint covers it.
    """
    repository = AuditRepository(store, tenant)
    with store.read() as c:
        rows = list(repository.leaves(c))
        checkpoints = [made for made in repository.checkpoints(c) if made.size <= len(rows)]
    if not 0 <= seq < len(rows):
        raise StoreError(f"no entry {seq} in the audit log of {tenant!r}; it has {len(rows)}, from 0")
    if not checkpoints or checkpoints[-1].size <= seq:
        raise StateError(f"no signed checkpoint covers entry {seq} yet; the next audited act makes one")
    newest = checkpoints[-1]
    leaves = [bytes.fromhex(row["leaf"]) for row in rows[: newest.size]]
    previous = checkpoints[-2] if len(checkpoints) > 1 else None
    proof: dict[str, Any] = {
        "entry": _line(rows[seq]),
        "leaf": rows[seq]["leaf"],
        "inclusion": [node.hex() for node in inclusion_proof(leaves, seq)],
        "checkpoint": asdict(newest),
    }
    if previous is not None:
        nodes = consistency_proof(leaves, previous.size)
        proof["consistency"] = {"before": asdict(previous), "nodes": [node.hex() for node in nodes]}
    return proof


def export(store: Store, witness: Witness, tenant: str = t.DEFAULT_TENANT) -> Iterator[dict[str, Any]]:
    """Yield all entries, then the checkpoints and the public keys: enough to verify the log elsewhere."""
    repository = AuditRepository(store, tenant)
    with store.read() as c:
        for row in repository.leaves(c):
            yield _line(row)
        for made in repository.checkpoints(c):
            yield {"checkpoint": asdict(made)}
    for kid, (algorithm, public) in witness.keys().items():
        yield {"key": {"id": kid, "algorithm": algorithm, "public": public.hex()}}


def erase_people(
    store: Store,
    before_ms: int,
    tenant: str = t.DEFAULT_TENANT,
    *,
    profiles: Profiles = Profiles(),  # noqa: B008 - frozen
    ring: Keyring | None = None,
) -> int:
    """Erase people from entries older than a time; the log can still be verified. Gives how many.

    Parameters
    ----------
    ring
        Pseudonyms take the place of names, by a key that it seals; None: nothing does.

    Raises
    ------
    StateError
        A profile keeps them.
    """
    profiles.check_erasure(before_ms)
    repository = AuditRepository(store, tenant)
    with store.begin() as c:
        key = None if ring is None else pseudonym_key(store, c, ring, tenant)
        erased = repository.erase_people(c, before_ms, key)
        if erased:
            hashed = repository.pseudonyms(c)
            record(store, c, ERASED, tenant=tenant, before_ms=before_ms, entries=erased, pseudonyms=hashed)
    return erased


def pseudonymise_due(store: Store, profiles: Profiles, ring: Callable[[], Keyring], now_ms: int) -> int:
    """Let pseudonyms take the place of people in the logs of all tenants, where that is due; gives how many."""
    before_ms = profiles.due_before_ms(now_ms)
    if before_ms is None:
        return 0
    with store.read() as c:
        tenants = list(c.execute(sa.select(t.audit_heads.c.tenant)).scalars())
    return sum(erase_people(store, before_ms, name, profiles=profiles, ring=ring()) for name in tenants)


def forget_pseudonyms(store: Store, tenant: str = t.DEFAULT_TENANT) -> bool:
    """Destroy the key of the pseudonyms: from then on they name nobody, and new ones differ."""
    with store.begin() as c:
        gone = forget_key(c, tenant)
        if gone:
            record(store, c, "audit:forget", tenant=tenant)
    return gone


def _line(row: Any) -> dict[str, Any]:
    hashes = {name: row[name] for name in ("who_hash", "address_hash", "rest_hash", "people_hash", "leaf")}
    words = {name[2:]: row[name] for name in row if name.startswith("d_") and name not in ("d_tenant", "d_seq")}
    if words.get("data") is not None:
        words["data"] = orjson.loads(words["data"])
    if words.get("people") is not None:
        words["people"] = orjson.loads(words["people"])
    return {"seq": row["seq"], "at_ms": row["at_ms"], **words, **hashes}
