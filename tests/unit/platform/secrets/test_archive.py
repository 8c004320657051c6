"""A sealed archive opens by the private key alone, whole and unchanged."""

from __future__ import annotations

import io
import stat
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foreshock.secrets import archive
from foreshock_models.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys ``one`` and ``two``."""
    path = tmp_path_factory.mktemp("keys")
    for name in ("one", "two"):
        (path / f"{name}.pub").write_text(archive.make_key(path / name))
    return path


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "PIECE", 10)


def sealed(folder: Path, text: bytes) -> bytes:
    target = io.BytesIO()
    archive.seal_to(archive.read_public(folder / "one.pub"), io.BytesIO(text), target)
    return target.getvalue()


def opened(folder: Path, data: bytes, key: str = "one") -> bytes:
    return b"".join(archive.open_sealed(archive.read_private(folder / key), io.BytesIO(data)))


def pieces(data: bytes) -> tuple[bytes, list[bytes]]:
    """The head of a sealed file, and its pieces with their lengths."""
    at = len(archive.FIRST) + 16
    head, found = data[:at], []
    while at < len(data):
        size = 4 + struct.unpack(">I", data[at : at + 4])[0]
        found.append(data[at : at + size])
        at += size
    return head, found


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=45))
def test_what_was_sealed_opens_to_itself(folder: Path, text: bytes) -> None:
    assert opened(folder, sealed(folder, text)) == text


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_file_with_any_bit_changed_or_an_end_cut_off_does_not_open(folder: Path, data: st.DataObject) -> None:
    whole = bytearray(sealed(folder, b"a secret of two pieces"))
    at = data.draw(st.integers(0, 8 * len(whole) - 1))
    if data.draw(st.booleans()):
        del whole[at // 8 :]
    else:
        whole[at // 8] ^= 1 << at % 8
    with pytest.raises(DataError):
        opened(folder, bytes(whole))


def test_pieces_that_were_moved_repeated_removed_or_taken_from_another_file_do_not_open(folder: Path) -> None:
    head, (a, b, c) = pieces(sealed(folder, b"x" * 25))
    _, (other, *_) = pieces(sealed(folder, b"x" * 25))
    assert opened(folder, head + a + b + c) == b"x" * 25
    for wrong in ([b, a, c], [a, a, b, c], [a, c], [a, b], [b, c], [other, b, c], [a, b, c, c], []):
        with pytest.raises(DataError):
            opened(folder, head + b"".join(wrong))


def test_another_key_does_not_open_it(folder: Path) -> None:
    with pytest.raises(DataError, match="another key"):
        opened(folder, sealed(folder, b"a secret"), "two")


def test_a_key_file_is_for_its_owner_alone_is_not_overwritten_and_is_never_quoted(folder: Path) -> None:
    private = folder / "one"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="File exists"):
        archive.make_key(private)
    for path, read in (
        (folder / "one.pub", archive.read_private), (private, archive.read_public),
        (Path("/no"), archive.read_public),
    ):  # fmt: skip
        with pytest.raises(ConfigError) as raised:
            read(path)
        assert private.read_text().strip()[30:60] not in str(raised.value)
