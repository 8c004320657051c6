"""Random inputs for kernels: blocks of rows with gaps, and choices of rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from foreshock_models.kernels.layout import CALIBRATION, CALIBRATION_SETTINGS, RING_WIDTH, records

__all__ = ["Blocks", "blocks", "calibration_settings", "calibration_state", "choices", "seeds"]

seeds = st.integers(0, 2**32 - 1)


class Blocks(NamedTuple):
    """Rows of several entities: values, offsets, timestamps."""

    values: NDArray[np.float64]
    offsets: NDArray[np.int64]
    timestamps: NDArray[np.int64]

    @property
    def n_rows(self) -> int:
        return len(self.values)

    @property
    def n_entities(self) -> int:
        return len(self.offsets) - 1


@st.composite
def blocks(draw: st.DrawFn, *, longest: int = 60, n_features: int = 3, gaps: bool = True) -> Blocks:
    """Up to four entities of up to `longest` rows."""
    lengths = draw(st.lists(st.integers(1, longest), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(seeds))
    n = sum(lengths)
    values = rng.normal(size=(n, n_features)) * rng.choice([0.1, 1.0, 30.0], size=(n, 1))
    if gaps:
        values[rng.random(values.shape) < draw(st.sampled_from([0.0, 0.2, 0.9]))] = np.nan
        values[rng.random(n) < 0.1] = np.nan
    step = draw(st.sampled_from([60_000, 3_600_000]))
    times = np.concatenate([np.arange(length) for length in lengths]) * step + 1_772_366_400_000
    return Blocks(values, np.cumsum([0, *lengths]), times.astype(np.int64))


@st.composite
def choices(draw: st.DrawFn, rows: Blocks) -> NDArray[np.int64]:
    """Increasing numbers of some rows, at least one."""
    chosen = draw(st.sets(st.integers(0, rows.n_rows - 1), min_size=1))
    return np.array(sorted(chosen), np.int64)


@st.composite
def calibration_settings(draw: st.DrawFn) -> NDArray[Any]:
    of = draw(st.integers(1, 6))
    settings = np.zeros(1, CALIBRATION_SETTINGS)
    settings[0] = (
        draw(st.sampled_from([1.0, 0.01])), 2.0, 0.005, 0.8, draw(st.sampled_from([0.0, 0.15])),
        np.log(draw(st.sampled_from([1e-4, 1e-2]))), draw(st.sampled_from([0.0, 0.01])), 300.0,
        draw(st.sampled_from([1e-3, 0.2])), 0.5, draw(st.integers(1, of)), of, draw(st.sampled_from([3, 8])), 1e-3,
        draw(st.sampled_from([60_000.0, 5_000.0])),
    )  # fmt: skip
    return settings


def calibration_state(n_entities: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """A table of entities, some young, some with an open alert, and rings in which some hours are over the line."""
    rng = np.random.default_rng(seed)
    table = np.zeros((n_entities, CALIBRATION.itemsize // 8))
    entities = records(table, CALIBRATION)
    entities["location"] = rng.normal(size=n_entities)
    entities["spread"] = rng.uniform(0.1, 2.0, n_entities)
    entities["threshold_shift"] = rng.normal(size=n_entities)
    entities["line"] = rng.uniform(0.6, 1.6, n_entities)
    entities["n_rows"] = rng.choice([0, 150, 5000], n_entities)
    entities["alert_share"] = rng.uniform(0, 1, n_entities)
    entities["recent_location"], entities["recent_spread"] = rng.normal(size=(2, n_entities)) ** 2
    entities["in_alert"] = rng.integers(0, 2, n_entities)
    entities["peak"] = rng.uniform(1.0, 3.0, n_entities)
    entities["slow_mean"], entities["training_mean"] = rng.uniform(0.1, 2.0, (2, n_entities))
    entities["usual_deviation"] = rng.choice([0.0, 0.05, 0.2], n_entities)
    entities["trained"] = rng.integers(0, 2, n_entities)
    entities["last_sample_ms"] = rng.choice([0.0, 1_772_366_000_000.0], n_entities)
    entities["rows_usual"] = rng.integers(0, 3, n_entities)
    rings = np.zeros((n_entities, RING_WIDTH), np.float32)
    rings[:, :-1] = np.where(rng.random((n_entities, RING_WIDTH - 1)) < 0.1, rng.uniform(1, 3), 0.0)
    rings[:, -1] = 1_772_366_400_000 // 3_600_000 - rng.integers(0, 3, n_entities)
    return table, rings
