"""Networks on a GPU, beside one core of the CPU; left out, and said so, where there is none."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from tests.bench.harness import Row, Size, race, seconds
from tests.bench.inputs import fleet

from foreshock_models.detectors import LSTM, VAE

__all__ = ["rows"]


def rows(size: Size) -> Iterator[Row]:
    if not torch.cuda.is_available():
        yield Row("networks on a GPU", "left out: no GPU that torch can use", "", None, "", None)
        return
    torch.set_num_threads(1)
    panel = fleet(size.of(20, 2), 3).to_panel()
    for kind in (LSTM, VAE):
        on = {device: kind(device=device) for device in ("cpu", "cuda")}
        fitted = race(
            {device: lambda d=detector: d.fit(panel) for device, detector in on.items()}, turns=1, least=0,
            clock=time.perf_counter,
        )  # fmt: skip
        scored = race(
            {device: lambda d=detector: d.decision_function(panel) for device, detector in on.items()}, turns=3,
            clock=time.perf_counter,
        )  # fmt: skip
        for what, times in (("fit", fitted), ("score", scored)):
            yield Row(
                f"{kind.name}: {what} {panel.n_rows:,} rows on {torch.cuda.get_device_name()}",
                seconds(times.median("cuda")), f"the CPU, one core {seconds(times.median('cpu'))}",
                times.ratio("cpu", "cuda"), "", None,
            )  # fmt: skip
