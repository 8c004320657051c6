"""Sealed values open with their keys, in their place, unchanged, and in no other case."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock.secrets import open_keyring
from foreshock.secrets.key_file import KeyFile
from foreshock.secrets.keyring import parse_keys
from foreshock.secrets.sealing import reseal, seal, sealing_key, unseal
from foreshock_models.errors import ConfigError, StoreError

OLD, NEW = (base64.b64encode(bytes([i]) * 32).decode() for i in (1, 2))
RING = parse_keys(OLD, "test")


@given(st.binary(max_size=300), st.text(max_size=20))
def test_a_sealed_text_opens_to_itself(text: bytes, purpose: str) -> None:
    assert unseal(RING, seal(RING, text, purpose), purpose) == text


@given(st.data())
def test_a_sealed_text_with_any_bit_changed_does_not_open(data: st.DataObject) -> None:
    sealed = bytearray(seal(RING, b"a secret", "place"))
    at = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[at // 8] ^= 1 << at % 8
    with pytest.raises(StoreError):
        unseal(RING, bytes(sealed), "place")


def test_a_sealed_text_does_not_open_in_another_place() -> None:
    with pytest.raises(StoreError, match="not of this place"):
        unseal(RING, seal(RING, b"a secret", "people.password 1"), "people.password 2")


def test_rotation_keeps_the_text_and_needs_the_old_key_no_more() -> None:
    sealed = seal(RING, b"a secret", "place")
    both = parse_keys(f"{NEW},{OLD}", "test")
    moved = reseal(both, sealed, "place")
    assert sealing_key(moved) != sealing_key(sealed)
    assert unseal(parse_keys(NEW, "test"), moved, "place") == b"a secret"
    with pytest.raises(StoreError, match="key that is not at hand"):
        unseal(parse_keys(NEW, "test"), sealed, "place")


@pytest.mark.parametrize("text", ["", " ", "short", "é", OLD[:-4], OLD + "AAAA", "=" * 44])
def test_a_wrong_key_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ConfigError, match="ENCRYPTION_KEY") as raised:
        open_keyring(Path("/nowhere"), text)
    assert not text.strip() or text not in str(raised.value)


def test_the_file_of_keys_is_made_once_for_its_owner_alone_and_rotates(tmp_path: Path) -> None:
    first = open_keyring(tmp_path)
    assert open_keyring(tmp_path) == first
    file = tmp_path / "encryption-keys"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    rotated = KeyFile(tmp_path).rotate()
    assert rotated.current != first.current
    assert set(first.keys) < set(rotated.keys)
    assert set(KeyFile(tmp_path).keep(rotated.current).keys) == {rotated.current}
    assert sorted(os.listdir(tmp_path)) == [".encryption-keys.lock", "encryption-keys"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert first.keys[first.current].hex() not in repr(first)
