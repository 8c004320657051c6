"""Scaling of each feature of each entity."""

from __future__ import annotations

import numpy as np
import pytest

from foreshock_models.errors import ArtifactError
from foreshock_models.scaling import Scaler

NAMES = ["scaler.center", "scaler.spread"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "wrong", [np.ones((1, 2)), np.ones((2, 1)), np.ones(4), np.ones((2, 2, 1)), np.ones((2, 2), np.float32)]
)
def test_saved_arrays_that_loops_would_read_beside_are_refused(name: str, wrong: np.ndarray) -> None:
    arrays = dict.fromkeys(NAMES, np.ones((2, 2)))
    Scaler.from_arrays(["web-1"], arrays, 2)
    with pytest.raises(ArtifactError, match="the saved model is damaged"):
        Scaler.from_arrays(["web-1"], {**arrays, name: wrong}, 2)
