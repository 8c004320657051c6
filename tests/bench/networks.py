"""Row 3: LSTM and VAE scoring, rows a second on one core, on the windows that the detector makes itself."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from pyod.models.ts_lstm import LSTMAD
from pyod.models.vae import VAE as PeerVAE
from tests.bench.harness import Row, Size, at_least, per_second, race
from tests.bench.inputs import fleet

from foreshock_models.detectors import LSTM, VAE

__all__ = ["rows"]


def rows(size: Size) -> Iterator[Row]:
    torch.set_num_threads(1)
    logging.disable(logging.INFO)
    panel = fleet(1, 8).to_panel()
    n = size.of(10_000, 1000)
    x = np.nan_to_num((panel.values - np.nanmean(panel.values, 0)) / np.nanstd(panel.values, 0))
    part = panel.rows(0, n)
    fit = panel.rows(0, 3000)
    ours = {"lstm": LSTM(epochs=1).fit(fit), "vae": VAE(epochs=1).fit(fit)}
    flat = sliding_window_view(np.pad(x, ((ours["vae"].window - 1, 0), (0, 0)), "edge"), ours["vae"].window, axis=0)
    flat = flat.transpose(0, 2, 1).reshape(len(x), -1)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        # the peers as they come, but for the length of the window, which is ours; one pass of training is enough
        lstm = LSTMAD(window_size=ours["lstm"].window, epochs=1).fit(x[:3000])
        vae = PeerVAE(epoch_num=1, verbose=0, batch_size=256, device="cpu").fit(flat[:3000])
        contests = {
            "lstm": lambda: lstm.decision_function(x[:n]),
            "vae": lambda: vae.decision_function(flat[:n]),
        }
        for name, peer in contests.items():
            times = race({"ours": lambda d=ours[name]: d.decision_function(part), "peer": peer}, turns=5)
            ratio = times.ratio("peer", "ours")
            goal, met = at_least(2.0, ratio)
            yield Row(
                f"{name}: {n:,} rows on one core", per_second(n / times.median("ours"), "rows"),
                f"PyOD {per_second(n / times.median('peer'), 'rows')}", ratio, goal, met,
                {"rows_per_s": n / times.median("ours"), "peer_rows_per_s": n / times.median("peer")},
            )  # fmt: skip
