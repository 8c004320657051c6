"""Last samples of each series of an entity: a series that vanishes is noticed although the others go on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foreshock_models.panel import Panel
from foreshock_models.state import State

__all__ = ["last_samples", "record_samples", "rows_processed", "with_series", "without_series"]

PREFIX = "seen:"
ROWS = "rows"


def record_samples(state: State, panel: Panel) -> dict[str, NDArray[np.float64]]:
    """Return the time of the last sample of each feature, and the number of rows with a sample, after these rows.

    Parameters
    ----------
    state
        Where the entities stand before these rows; features that it does not know count from these rows on.

    Returns
    -------
    dict
        Arrays ``(n_entities,)``, in the order of `panel`, for a `State`.
    """
    at = state.places(panel.entities)
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


def rows_processed(state: State) -> dict[str, int]:
    """Return how many rows with a sample of each entity were processed; each counts once, also after a restart."""
    counts = state.arrays.get(ROWS, np.zeros(len(state.entities)))
    return {entity: int(count) for entity, count in zip(state.entities, counts, strict=True)}


def last_samples(state: State) -> dict[str, dict[str, int]]:
    """Return entity to feature to the time of its last sample, in ms since the epoch; 0 where there was none."""
    arrays = {key.removeprefix(PREFIX): value for key, value in state.arrays.items() if key.startswith(PREFIX)}
    return {
        entity: {feature: int(times[i]) for feature, times in arrays.items()}
        for i, entity in enumerate(state.entities)
    }


def with_series(state: State, features: Sequence[str]) -> State:
    """Return the state with these features and no others."""
    kept = {key: value for key, value in state.arrays.items() if not key.startswith(PREFIX)}
    fresh = np.zeros(len(state.entities))
    kept.setdefault(ROWS, fresh)
    return State(state.entities, {**kept, **{PREFIX + f: state.arrays.get(PREFIX + f, fresh) for f in features}})


def without_series(state: State, gone: Sequence[tuple[str, str]]) -> State:
    """Return the state without the samples of these series ``(entity, feature)``."""
    if not gone:
        return state
    arrays = {key: value.copy() for key, value in state.arrays.items()}
    for entity, feature in gone:
        arrays[PREFIX + feature][state.index[entity]] = 0.0
    return State(state.entities, arrays)
