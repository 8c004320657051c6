"""Row 7: training a fleet, one model for all; PyOD's, one model for each entity. Memory for each entity."""

from __future__ import annotations

import contextlib
import io
import logging
import multiprocessing
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pyod.models.iforest import IForest as PeerIForest
from pyod.models.vae import VAE as PeerVAE
from tests.bench.harness import Row, Size, at_least, seconds
from tests.bench.inputs import fleet

from foreshock_models.detectors import VAE, IForest

__all__ = ["rows"]

DAYS = 7.0
SAMPLE = 2
"""Entities that PyOD's VAE is trained on; the rest is extrapolated, for each takes the same."""
DETECTORS = {"iforest": IForest, "vae": VAE}


def rows(size: Size) -> Iterator[Row]:
    torch.set_num_threads(1)
    logging.disable(logging.INFO)
    entities = size.of(100, 8)
    few = _in_process(max(2, entities // 4))
    peer = _peers(entities)
    many = _in_process(entities)
    words = f"{entities} entities x 8 features x {DAYS:g} days of minutes"
    for name, (took, counted) in peer.items():
        ours = many[f"{name}_s"]
        goal, met = at_least(5.0, took / ours)
        note = "" if counted == entities else f", {counted} trained, scaled"
        yield Row(
            f"train {name} on {words}", seconds(ours), f"PyOD, one each{note}: {seconds(took)}", took / ours, goal,
            met, {"ours_s": ours, "peer_s": took, "peer_trained": counted},
        )  # fmt: skip
    ours, theirs = (
        sum(each) for each in zip(*((many[f"{n}_s"], took) for n, (took, _) in peer.items()), strict=True)
    )
    goal, met = at_least(5.0, theirs / ours)
    yield Row(f"train both on {words}", seconds(ours), f"PyOD {seconds(theirs)}", theirs / ours, goal, met)
    before, after = few["bytes_per_entity"], many["bytes_per_entity"]
    yield Row(
        f"memory for each entity of {entities}, while training", f"{after / 1e6:.1f} MB",
        f"of {max(2, entities // 4)} entities {before / 1e6:.1f} MB", before / after, "flat: within a tenth",
        after <= 1.1 * before, {"bytes": after, "bytes_with_few": before},
    )  # fmt: skip


def _in_process(entities: int) -> dict[str, float]:
    """Ours, in a process of its own, for the sake of its memory."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_fit, (entities,))


def _fit(entities: int) -> dict[str, float]:
    """Seconds of each fit; the most memory that they added to the rows, which count too, for each entity."""
    torch.set_num_threads(1)
    panel = fleet(entities, DAYS).to_panel()
    few = panel.select(panel.entities[:1])
    IForest().fit(few)  # compiled
    VAE(epochs=1).fit(few)
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the most memory is counted from here on
    found = {f"{name}_s": _seconds(lambda kind=kind: kind().fit(panel)) for name, kind in DETECTORS.items()}
    added = _status("VmHWM") - before + panel.values.nbytes
    return {**found, "bytes_per_entity": added / entities}


def _peers(entities: int) -> dict[str, tuple[float, int]]:
    """Seconds for the whole fleet, and how many entities were trained for it."""
    panel = fleet(max(SAMPLE, entities), DAYS).to_panel()
    window = VAE().window
    inputs = []
    for _, rows in panel:
        x = panel.values[rows]
        inputs.append(np.nan_to_num((x - np.nanmean(x, 0)) / np.nanstd(x, 0)))
    # as they come, but for batches as large as ours, which is faster, and for windows of the same length
    took = {"iforest": (_seconds(lambda: [PeerIForest().fit(x) for x in inputs]), len(inputs))}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        vae = _seconds(
            lambda: [
                PeerVAE(verbose=0, batch_size=VAE().batch_size, device="cpu").fit(_flat(x, window))
                for x in inputs[:SAMPLE]
            ]
        )
    took["vae"] = (vae / SAMPLE * entities, SAMPLE)
    return took


def _flat(x: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """The window that ends at each row ``(n_rows, window * n_features)``."""
    padded = np.pad(x, ((window - 1, 0), (0, 0)), "edge")
    return sliding_window_view(padded, window, axis=0).transpose(0, 2, 1).reshape(len(x), -1)


def _seconds(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def _status(key: str) -> int:
    """Bytes of this process, by the name that the kernel gives them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))
