"""Connections to the database of the store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from foreshock.store import open_store
from foreshock.store.store import Store, store_at
from foreshock_models.errors import StoreError


def write(store: Store) -> None:
    """A transaction, as every repository begins one."""
    with store.begin() as c:
        c.execute(sa.text("DELETE FROM outbox"))


def test_a_store_that_is_there_answers_a_check(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    open_store(url).close()
    store_at(url).check()


def test_a_check_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with open_store(url).begin():
        store_at(url).check()


def test_a_store_that_nobody_has_made_is_neither_made_nor_answered_for(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(StoreError, match=f"^{path}: "):
        store_at(f"sqlite:///{path}").check()
    assert not path.exists()


def test_a_file_that_is_taken_away_in_use_is_missed_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    store = open_store(f"sqlite:///{path}")
    path.rename(tmp_path / "b.db")
    for use in (Store.check, write):
        with pytest.raises(StoreError, match=r"a\.db: (the file of the store cannot be found|unable to open)"):
            use(store)
    assert not path.exists(), "nothing is written where nobody reads it"
    (tmp_path / "b.db").rename(path)
    store.check()
    write(store)


def test_a_file_that_is_replaced_in_use_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    store = open_store(f"sqlite:///{path}")
    shutil.copy(path, tmp_path / "new.db")
    (tmp_path / "new.db").replace(path)
    for _ in range(2):
        with pytest.raises(StoreError, match="was replaced while it is in use"):
            write(store)


def test_what_is_no_database_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_text("this is no database, but a text that is long enough to be looked at" * 20)
    with pytest.raises(StoreError, match=f"^{path}: file is not a database$"):
        open_store(f"sqlite:///{path}")


def test_a_postgresql_that_is_away_is_one_line_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    from foreshock.store import migrate

    monkeypatch.setattr(migrate, "ATTEMPTS", 2)
    with pytest.raises(StoreError) as caught:
        open_store("postgresql://me:secret@127.0.0.1:9/db")
    assert "Connection refused" in str(caught.value)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:sec@ret:secret@host/db", "postgresql://me:x@host:secret/db", "postgresql://me:secret@[::1/db",
        "sqlite://secret@host/db", "sqlite:////a\0secret", "secret", "",
    ],
)  # fmt: skip
def test_what_is_no_url_of_a_database_is_one_line_that_quotes_nothing_of_it(url: str) -> None:
    with pytest.raises(StoreError, match=r"^FORESHOCK_STORE_URL: not the URL of a database; write ") as caught:
        open_store(url)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_the_scheme_postgres_is_postgresql_as_hosts_of_databases_write_it() -> None:
    assert store_at("postgres://me@127.0.0.1:9/db").engine.url.drivername == "postgresql+psycopg"
