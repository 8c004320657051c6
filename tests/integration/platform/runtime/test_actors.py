"""What Ray Data leaves running after a read is known by name, and can be ended without harm to the next read."""

from __future__ import annotations

import time

import pytest

from foreshock.runtime.actors import end_actor, find_actor
from foreshock.runtime.control_loop import LEFT_BY_RAY_DATA


@pytest.mark.usefixtures("ray_cluster")
def test_the_actors_of_a_read_are_ended_and_the_next_read_makes_its_own() -> None:
    import ray.data

    for _ in range(2):
        assert ray.data.range(10).materialize().count() == 10
        assert all(find_actor(*left) is not None for left in LEFT_BY_RAY_DATA)
        for left in LEFT_BY_RAY_DATA:
            end_actor(*left)
        deadline = time.monotonic() + 20
        while any(find_actor(*left) is not None for left in LEFT_BY_RAY_DATA):
            assert time.monotonic() < deadline
            time.sleep(0.1)
