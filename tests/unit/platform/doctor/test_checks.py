"""Examination of an installation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.fixtures.certificates import Authority
from tests.servers.servers import free_port

from foreshock.doctor import examine
from foreshock.doctor.listeners import Listener
from foreshock.runtime.home import open_home
from foreshock.settings import load_settings
from foreshock.store import open_store


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "FORESHOCK_RAY_ADDRESS", "FORESHOCK_STORE_URL", "FORESHOCK_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)


def states(home: Path, jobs: Any = (), **settings: Any) -> dict[str, tuple[str, str]]:
    found = examine(load_settings(home=home, port=free_port(), **settings), jobs)
    return {one.check: (one.state, one.text) for one in found}


def test_an_installation_before_its_first_start_has_nothing_wrong_and_stays_unmade(tmp_path: Path) -> None:
    found = states(tmp_path / "home")
    assert {state for state, _ in found.values()} == {"ok", "note"}
    assert not (tmp_path / "home").exists()


def test_a_home_in_use_is_ok_and_its_store_migrated(tmp_path: Path) -> None:
    home = tmp_path / "home"
    open_home(home)
    open_store(load_settings(home=home).store).close()
    found = states(home)
    assert found["home"][0] == "ok" and "mode 700" in found["home"][1]
    assert found["store"][0] == "ok" and "migrated" in found["store"][1]


def test_what_others_can_read_is_wrong_and_named(tmp_path: Path) -> None:
    home = tmp_path / "home"
    open_home(home)
    (home / "api-token").write_text("x")
    (home / "api-token").chmod(0o644)
    state, text = states(home)["home"]
    assert state == "wrong" and "api-token (mode 644)" in text


def test_a_store_and_a_cluster_that_are_away_are_wrong(tmp_path: Path) -> None:
    found = states(tmp_path, store_url="postgresql://me:secret@127.0.0.1:9/db", ray_address="127.0.0.1:9")
    assert found["store"][0] == "wrong" and "secret" not in found["store"][1]
    assert found["Ray"][0] == "wrong" and "FORESHOCK_RAY_ADDRESS" in found["Ray"][1]


def test_a_source_that_cannot_be_read_is_wrong(tmp_path: Path) -> None:
    from foreshock_pipelines.jobfile import load_job

    file = tmp_path / "j.yaml"
    file.write_text("name: j\nsource: {parquet: none.parquet}\nqueries: {x: up}\nentity: [instance]\n")
    assert states(tmp_path / "home", [load_job(file)])["source of j"][0] == "wrong"


@pytest.mark.parametrize(
    ("address", "local"), [("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False)]
)
def test_an_address_of_all_interfaces_is_reachable_from_the_network(address: str, local: bool) -> None:
    assert Listener(1, address, "x").local is local


@pytest.mark.parametrize(("days", "state"), [(60, "ok"), (20, "note"), (5, "wrong"), (-0.1, "wrong")])
def test_the_doctor_says_how_many_days_the_certificate_has_left(
    authority: Authority, tmp_path: Path, days: float, state: str
) -> None:
    certificate, key = authority.issue(days=days + 0.01)
    found = states(tmp_path, tls_certificate=certificate, tls_key=key)["TLS"]
    assert found[0] == state and (f"ends in {days:.0f} days" if days > 0 else "has expired") in found[1]


def test_the_doctor_says_when_the_certificate_is_for_another_host(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue(days=60)
    for url, wrong in (("https://foreshock.example", True), ("https://localhost:9", False), (None, False)):
        state, text = states(tmp_path, tls_certificate=certificate, tls_key=key, public_url=url)["TLS"]
        assert (state == "note" and "it is not for the host of https://foreshock.example" in text) == wrong


def test_plain_http_beyond_loopback_is_wrong_or_a_note(tmp_path: Path) -> None:
    assert states(tmp_path)["TLS"] == ("ok", "plain HTTP on 127.0.0.1")
    assert states(tmp_path, host="0.0.0.0")["TLS"][0] == "wrong"
    assert states(tmp_path, host="0.0.0.0", allow_plain_http=True)["TLS"] == ("note", "plain HTTP on 0.0.0.0")
