"""States of single sign-on, on each database."""

from __future__ import annotations

from foreshock.identity.repository import IdentityRepository
from foreshock.store import Store


def test_a_state_of_single_sign_on_is_good_once(store_anywhere: Store) -> None:
    repository = IdentityRepository(store_anywhere)
    found = []
    for _ in range(2):
        with store_anywhere.begin() as c:
            found.append(repository.use_state(c, "a" * 64, 2**40))
    assert found == [True, False]
