"""When each series of an entity was last seen: one that vanished is missed though the others go on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foreshock_models.calibration.state import State
from foreshock_models.panel import Panel

__all__ = ["last_samples", "note_samples", "rows_taken", "with_series", "without_series"]

PREFIX = "seen:"
ROWS = "rows"


def note_samples(state: State, panel: Panel) -> dict[str, NDArray[np.float64]]:
    """Time of the last sample of each feature after these rows, and how many rows with a sample there were.

    Arrays ``(n_entities,)``, as `panel` has them.

    Parameters
    ----------
    state
        As `last_samples` reads it; features that it does not know count from these rows on.
    """
    rows = {name: i for i, name in enumerate(state.entities)}
    at = np.array([rows.get(name, -1) for name in panel.entities])
    times = np.where(np.isnan(panel.values), 0.0, panel.timestamps[:, None])
    latest = np.maximum.reduceat(times, panel.offsets[:-1], axis=0)  # (n_rows, F) -> (n_entities, F)
    found = {}
    for j, name in enumerate(panel.features):
        before = state.arrays.get(PREFIX + name, np.zeros(len(state.entities)))
        known = np.where(at >= 0, np.append(before, 0.0)[at], 0.0)
        found[PREFIX + name] = np.maximum(known, latest[:, j])
    there = (~np.isnan(panel.values)).any(axis=1)
    more = np.add.reduceat(there.astype(np.float64), panel.offsets[:-1])
    before = state.arrays.get(ROWS, np.zeros(len(state.entities)))
    found[ROWS] = np.where(at >= 0, np.append(before, 0.0)[at], 0.0) + more
    return found


def rows_taken(state: State) -> dict[str, int]:
    """Entity to how many of its rows, with a sample, were taken: each once, whatever died meanwhile."""
    counts = state.arrays.get(ROWS, np.zeros(len(state.entities)))
    return {entity: int(count) for entity, count in zip(state.entities, counts, strict=True)}


def last_samples(state: State) -> dict[str, dict[str, int]]:
    """Entity to feature to the time of its last sample, ms since the epoch; 0 where there never was one."""
    arrays = {key.removeprefix(PREFIX): value for key, value in state.arrays.items() if key.startswith(PREFIX)}
    return {
        entity: {feature: int(times[i]) for feature, times in arrays.items()}
        for i, entity in enumerate(state.entities)
    }


def with_series(state: State, features: Sequence[str]) -> State:
    """The same state, knowing these features and no others."""
    kept = {key: value for key, value in state.arrays.items() if not key.startswith(PREFIX)}
    fresh = np.zeros(len(state.entities))
    kept.setdefault(ROWS, fresh)
    return State(state.entities, {**kept, **{PREFIX + f: state.arrays.get(PREFIX + f, fresh) for f in features}})


def without_series(state: State, gone: Sequence[tuple[str, str]]) -> State:
    """The same state, in which these series ``(entity, feature)`` were never seen."""
    if not gone:
        return state
    rows = {name: i for i, name in enumerate(state.entities)}
    arrays = {key: value.copy() for key, value in state.arrays.items()}
    for entity, feature in gone:
        arrays[PREFIX + feature][rows[entity]] = 0.0
    return State(state.entities, arrays)
