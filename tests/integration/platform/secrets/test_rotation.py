"""Keys rotate while others read and write, and while whatever rotates them is killed."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

from foreshock.secrets import Keyring, open_keyring, seal, unseal
from foreshock.secrets.key_file import KeyFile
from foreshock.secrets.resealing import forget_old_keys, hold_keys, reseal_all, sealed_by
from foreshock.store import Store
from foreshock.store import team_tables as t
from foreshock_models.errors import ForeshockError

PURPOSE = "people.second_factor "
ROTATE = """
import sys
from pathlib import Path
from foreshock.secrets.key_file import KeyFile
from foreshock.secrets.resealing import forget_old_keys, reseal_all
from foreshock.store.store import store_at

store, file = store_at(sys.argv[1]), KeyFile(Path(sys.argv[2]))
print("ready", flush=True)
while True:
    ring = file.rotate()
    reseal_all(store, ring)
    forget_old_keys(store, file, ring)
"""


def add(store: Store, home: Path, person: str) -> None:
    """As `Sessions.begin_second_factor` does it."""
    with store.begin() as c:
        hold_keys(store, c)
        sealed = seal(open_keyring(home), person.encode(), PURPOSE + person)
        time.sleep(random.random() / 100)  # the key may be forgotten now, if it is not held
        values = {"id": person, "name": person, "recovery": [], "created_ms": 0, "second_factor": sealed}
        c.execute(sa.insert(t.people).values(**values))


def read(store: Store, home: Path, person: str) -> bytes:
    """As `Sessions` checks a code."""
    with store.begin() as c:
        hold_keys(store, c)
        sealed = c.execute(sa.select(t.people.c.second_factor).where(t.people.c.id == person)).scalar_one()
        time.sleep(random.random() / 100)
        return unseal(open_keyring(home), sealed, PURPOSE + person)


def rotate(store: Store, home: Path) -> Keyring:
    file = KeyFile(home)
    ring = file.rotate()
    reseal_all(store, ring)
    return forget_old_keys(store, file, ring)


class Load:
    """Threads that write and read sealed values until they are stopped."""

    def __init__(self, store: Store, home: Path) -> None:
        self.store, self.home = store, home
        self.added: list[str] = []
        self.reads = 0
        self.wrong: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(i,)) for i in range(2)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, i: int) -> None:
        while not self._stop.is_set():
            try:
                if i % 2 and self.added:
                    person = random.choice(self.added)
                    assert read(self.store, self.home, person) == person.encode()
                    self.reads += 1
                else:
                    person = uuid.uuid4().hex
                    add(self.store, self.home, person)
                    self.added.append(person)
                time.sleep(0.02)
            except (ForeshockError, AssertionError) as exc:
                self.wrong.append(str(exc))


def test_readers_and_writers_lose_nothing_while_keys_rotate(store_anywhere: Store, tmp_path: Path) -> None:
    store = store_anywhere
    with Load(store, tmp_path) as load:
        for _ in range(6):
            ring = rotate(store, tmp_path)
            assert open_keyring(tmp_path) == ring
            time.sleep(0.05)
    assert load.wrong == []
    assert len(load.added) > 5 and load.reads > 5
    ring = rotate(store, tmp_path)
    assert set(sealed_by(store)) == {ring.current}
    assert list(ring.keys) == [ring.current]
    for person in load.added:
        assert read(store, tmp_path, person) == person.encode()


def test_a_rotation_that_is_killed_leaves_everything_readable(store_anywhere: Store, tmp_path: Path) -> None:
    store = store_anywhere
    people = [uuid.uuid4().hex for _ in range(40)]
    for person in people:
        add(store, tmp_path, person)
    url = store.engine.url.render_as_string(hide_password=False)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", ROTATE, url, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(random.random() / 3)
        process.kill()
        process.wait()
        process.stdout.close()
        for person in people:
            assert read(store, tmp_path, person) == person.encode()
    ring = rotate(store, tmp_path)
    assert (set(sealed_by(store)), len(ring.keys)) == ({ring.current}, 1)
    assert {path.name for path in tmp_path.iterdir()} >= {"encryption-keys"}


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_rotation_that_stops_after_a_step_is_completed_by_the_next(
    store: Store, tmp_path: Path, steps: int
) -> None:
    for person in ("anna", "ben"):
        add(store, tmp_path, person)
    file = KeyFile(tmp_path)
    ring = file.rotate()
    if steps > 1:
        reseal_all(store, ring)
    if steps > 2:
        forget_old_keys(store, file, ring)
    assert read(store, tmp_path, "anna") == b"anna"
    assert list(rotate(store, tmp_path).keys) == list(sealed_by(store))
    assert read(store, tmp_path, "ben") == b"ben"


def test_a_key_is_not_forgotten_while_a_transaction_may_still_seal_by_it(
    store_anywhere: Store, tmp_path: Path
) -> None:
    store = store_anywhere
    rotation = threading.Thread(target=rotate, args=(store, tmp_path))
    with store.begin() as c:
        hold_keys(store, c)
        sealed = seal(open_keyring(tmp_path), b"anna", PURPOSE + "anna")
        rotation.start()
        while len(open_keyring(tmp_path).keys) < 2:
            time.sleep(0.01)
        rotation.join(0.5)
        assert rotation.is_alive()
        values = {"id": "anna", "name": "anna", "recovery": [], "created_ms": 0, "second_factor": sealed}
        c.execute(sa.insert(t.people).values(**values))
    rotation.join(30)
    assert not rotation.is_alive()
    assert read(store, tmp_path, "anna") == b"anna"
    assert len(open_keyring(tmp_path).keys) == 1
