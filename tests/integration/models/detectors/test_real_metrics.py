"""With default settings, on real labelled metrics: clearly better than chance, and causes among the first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score

from foreshock_models.detectors import make
from foreshock_models.panel import Panel

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("machine", ["machine-1-2", "machine-1-5"])
@pytest.mark.parametrize("name", ["iforest", "lstm", "vae"])
def test_a_detector_beats_chance_clearly(shared_data: Path, machine: str, name: str) -> None:
    frame = pq.read_table(shared_data / "SMD" / f"{machine}.parquet").to_pandas()
    features = [c for c in frame.columns if c not in ("timestamp", "label", "split")]
    train = frame[frame["split"] == "train"]
    test = frame[frame["split"] == "test"]
    fitted = make(name).fit(Panel.of(train[features].to_numpy(), features=features))
    score = fitted.score(Panel.of(test[features].to_numpy(), features=features)).score
    label = test["label"].to_numpy()
    chance = label.mean()
    assert average_precision_score(label, score) > 3 * chance
    assert np.isfinite(score).all()
