"""Peers, as their documentation uses them, on standardised rows; gaps carried forward.

Without the metrics that never change in training: standardised, a change of one drowns all others. PyOD's
detectors run in this environment; TSB-AD's (``LSTMAD``, ``CNN``, ``Sub-PCA``) in the one of the judge, where this
file is run as a script: it imports nothing of Foreshock.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.preprocessing import StandardScaler

PYOD = {"IForest": "iforest", "PCA": "pca", "ECOD": "ecod", "VAE": "vae"}
TSB = ("LSTMAD", "CNN", "Sub-PCA")
UNSEEDED = {"PCA", "ECOD", "Sub-PCA"}
EPOCHS, WINDOW = 10, 50
"""Of TSB-AD's networks, which stop early: at most so many epochs, of the 50 that are its default."""


def prepare(file: Path) -> tuple[Any, int]:
    """Standardised rows ``(n, n_features)`` of both parts, and how many are of the train part."""
    table = pq.read_table(file).to_pandas()
    train = int((table["split"] == "train").sum())
    filled = table.drop(columns=["timestamp", "label", "split"]).ffill().bfill().fillna(0.0).to_numpy(np.float64)
    changing = np.ptp(filled[:train], axis=0) > 0
    filled = filled[:, changing] if changing.any() else filled
    return StandardScaler().fit(filled[:train]).transform(filled), train


def pyod_scores(name: str, x: Any, train: int, seed: int) -> tuple[Any, float]:
    """Scores of the test part, and the 99.9% quantile of those of training."""
    kind = getattr(importlib.import_module(f"pyod.models.{PYOD.get(name, name.lower())}"), name)
    options: dict[str, Any] = {} if name in UNSEEDED else {"random_state": seed}
    if name == "VAE":
        options |= {"verbose": 0, "batch_size": min(256, train // 2)}  # it leaves out a last, smaller batch
    model = kind(**options).fit(x[:train])
    return np.asarray(model.decision_function(x[train:]), float), float(np.quantile(model.decision_scores_, 0.999))


def tsb_scores(name: str, x: Any, train: int, seed: int) -> tuple[Any, float]:
    """As `pyod_scores`. Sub-PCA has no training: it is fitted on the rows that it scores, as published."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    if name == "Sub-PCA":
        from TSB_AD.models.PCA import PCA
        from TSB_AD.utils.slidingWindows import find_length_rank

        length = int(find_length_rank(x[:, :1], rank=1)) if x.shape[1] == 1 else 1
        model = PCA(slidingWindow=max(length, 1), n_components=None)
        model.fit(x)
        scores = np.asarray(model.decision_scores_, float).ravel()
        return scores[train:], float(np.quantile(scores[:train], 0.999))
    kind = getattr(importlib.import_module(f"TSB_AD.models.{name}"), name)
    window = max(4, min(WINDOW, train // 10))
    options = {"num_channel": [32, 32, 40]} if name == "CNN" else {}
    model = kind(
        window_size=window, pred_len=1, lr=0.0008, feats=x.shape[1], batch_size=128, epochs=EPOCHS, **options
    )
    model.fit(x[:train].astype(np.float32))
    scores = model.decision_function(x[max(train - window, 0) :].astype(np.float32)).ravel()
    known = model.decision_function(x[:train].astype(np.float32)).ravel()
    return scores[-(len(x) - train) :], float(np.quantile(known, 0.999))


def write_scores(name: str, series: Path, seed: int, to: Path) -> None:
    x, train = prepare(series)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw, usual = (tsb_scores if name in TSB else pyod_scores)(name, x, train, seed)
    score = raw / max(usual, 1e-12)
    to.parent.mkdir(parents=True, exist_ok=True)
    partial = to.with_suffix(".partial")
    pq.write_table(pa.table({"score": pa.array(score), "alert": pa.array(score >= 1.0)}), partial)
    partial.rename(to)


if __name__ == "__main__":
    write_scores(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
