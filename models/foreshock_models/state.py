"""Streaming state of a fitted model: small arrays, one row per entity."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from foreshock_models.errors import ArtifactError

__all__ = ["State"]

NAMES = "entities.json"


@dataclass(frozen=True)
class State:
    """Streaming state of calibration or of an alert policy, per entity.

    Parameters
    ----------
    entities
        One name per row of every array.
    arrays
        Name to array ``(n_entities, ...)``.

    Examples
    --------
    >>> state = State(("web-1", "web-2"), {"line": np.array([1.0, 1.2])})
    >>> state.select(["web-2"]).arrays["line"]
    array([1.2])
    >>> State.from_bytes(state.to_bytes()).entities
    ('web-1', 'web-2')
    """

    entities: tuple[str, ...] = ()
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    @cached_property
    def index(self) -> dict[str, int]:
        """Entity to its row."""
        return {name: i for i, name in enumerate(self.entities)}

    def places(self, entities: tuple[str, ...]) -> NDArray[np.int64]:
        """Return the row of each of `entities` ``(n,)``; -1 for an unknown one."""
        index = self.index
        return np.array([index.get(name, -1) for name in entities], dtype=np.int64)

    def select(self, entities: Sequence[str]) -> State:
        """Keep some entities, in the order asked for; unknown ones are left out."""
        known = tuple(name for name in entities if name in self.index)
        rows = [self.index[name] for name in known]
        return State(known, {key: value[rows] for key, value in self.arrays.items()})

    @classmethod
    def merge(cls, states: Iterable[State]) -> State:
        """Join states of different entities; a later one replaces an earlier one of the same name.

        An array, or a column of one, that only some states have, because others are of an earlier version, is 0
        for the rest.
        """
        parts = [state for state in states if state.entities]
        if not parts:
            return cls()
        names: dict[str, tuple[int, int]] = {}
        for p, part in enumerate(parts):
            names.update({name: (p, i) for i, name in enumerate(part.entities)})
        starts = np.cumsum([0, *(len(part.entities) for part in parts)])
        rows = np.array([starts[p] + i for p, i in names.values()])
        keys = {key: None for part in parts for key in part.arrays}
        return cls(tuple(names), {key: _stacked(parts, key)[rows] for key in keys})

    def to_bytes(self) -> bytes:
        """Return safetensors bytes; `from_bytes` restores the same state, bit for bit."""
        names = np.frombuffer(json.dumps(self.entities).encode(), dtype=np.uint8)  # a name may hold a line break
        data: bytes = save({NAMES: names, **{k: np.ascontiguousarray(v) for k, v in self.arrays.items()}})
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> State:
        """Restore a state from `to_bytes`.

        Raises
        ------
        ArtifactError
            The bytes are damaged.
        """
        try:
            arrays = dict(load(data))
            if NAMES in arrays:
                return cls(tuple(json.loads(arrays.pop(NAMES).tobytes())), arrays)
            names = arrays.pop("").tobytes().decode()  # as it was written up to 0.1
        except Exception as exc:  # safetensors raises its own, undocumented types on damaged bytes
            raise ArtifactError(f"the saved scoring state is damaged: {exc}") from exc
        # one entity without a name and no entity at all are told apart by their rows
        rows = max(map(len, arrays.values()), default=0)
        return cls(tuple(names.split("\n")) if rows else (), arrays)


def _stacked(parts: Sequence[State], key: str) -> NDArray[Any]:
    """Return the arrays of that name one after the other, each as wide as the widest; 0 where there is nothing."""
    like = max((part.arrays[key] for part in parts if key in part.arrays), key=lambda array: array.shape[1:])
    stacked: NDArray[Any] = np.zeros((sum(len(part.entities) for part in parts), *like.shape[1:]), like.dtype)
    first = 0
    for part in parts:
        last = first + len(part.entities)
        if key in part.arrays:
            array = part.arrays[key]
            stacked[(slice(first, last), *(slice(n) for n in array.shape[1:]))] = array
        first = last
    return stacked
