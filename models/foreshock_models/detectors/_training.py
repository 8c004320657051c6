"""Training of a network: Adam, stopped early by the newest rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foreshock_models.detectors._torch_nets import Net, device_of
from foreshock_models.detectors._windows import TrailingWindows

__all__ = ["ProcessGroup", "Training", "train"]

Weights = dict[str, NDArray[np.float32]]


class ProcessGroup(Protocol):
    """Processes that train one network together: each takes its share of every batch.

    All have the same rows and the same seed, so that they draw the same batches.
    """

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""

    @property
    def size(self) -> int:
        """Number of processes."""

    def join(self, net: nn.Module) -> nn.Module:
        """Return the network starting as rank 0's, its gradients averaged over the processes."""

    def mean(self, value: float) -> float:
        """Return the mean of a number over the processes."""


@dataclass(frozen=True)
class Training:
    """How to train.

    Parameters
    ----------
    epochs, patience
        At most so many passes; stop after `patience` passes without gain on the newest rows, and keep the best
        weights.
    max_windows
        Training windows per pass, drawn at random.
    learning_rate, batch_size
        Of Adam.
    device
        As in `device_of`.
    on_epoch
        Called after each epoch with its number, from 1, and a function that returns the weights as they are. An
        exception that it raises ends the training.
    team
        The processes that train together; None: this one alone.
    """

    epochs: int
    patience: int
    max_windows: int
    learning_rate: float
    batch_size: int
    device: str
    seed: int
    on_epoch: Callable[[int, Callable[[], tuple[Weights, list[float]]]], None] | None = None
    team: ProcessGroup | None = None


def train(
    training: Training,
    build: Callable[[], Net],
    windows: TrailingWindows,
    present: TrailingWindows,
    late: NDArray[np.bool_],
) -> tuple[Weights, list[float]]:
    """Train a network; return its weights by name, and the loss on the newest rows after each epoch.

    Parameters
    ----------
    build
        Makes the network, untrained.
    windows, present
        ``(n_rows, span, n_features)``: inputs, and 1 where a sample is present.
    late
        ``(n_rows,)``: rows that decide when to stop; the network learns from the others.
    """
    with torch.random.fork_rng():
        torch.manual_seed(training.seed)
        device = device_of(training.device)
        run = _Run(training, build().to(device), device, windows, present)
        run.train(np.flatnonzero(~late), np.flatnonzero(late))
    return run.result()


class _Run:
    def __init__(
        self,
        training: Training,
        net: Net,
        device: torch.device,
        windows: TrailingWindows,
        present: TrailingWindows,
    ) -> None:
        self.training = training
        self.net = net
        self.call: nn.Module = net
        self.device = device
        self.windows = windows
        self.present = present
        self.losses: list[float] = []

    def train(self, early: NDArray[Any], late: NDArray[Any]) -> None:
        training, net, team = self.training, self.net, self.training.team
        rng = np.random.default_rng(training.seed)
        late = rng.permutation(late)[: training.max_windows // 2]
        if team is not None:
            self.call = team.join(net)
            torch.manual_seed(training.seed + team.rank)  # each share has noise of its own
        optimiser = torch.optim.Adam(net.parameters(), lr=training.learning_rate)
        best, best_weights, waited = math.inf, None, 0
        for epoch in range(1, training.epochs + 1):
            chosen = rng.permutation(early)[: training.max_windows]
            self._pass(optimiser, chosen)
            loss = self._held_out_loss(late if len(late) else chosen)
            self.losses.append(loss)
            if training.on_epoch is not None:
                training.on_epoch(epoch, self.result)
            if loss < best * 0.995:
                best, waited = loss, 0
                best_weights = {k: v.detach().clone() for k, v in net.state_dict().items()}
            elif (waited := waited + 1) >= training.patience:
                break
        if best_weights is not None:
            net.load_state_dict(best_weights)

    def result(self) -> tuple[Weights, list[float]]:
        """Copies of the weights and losses: the network changes its own as it learns."""
        weights = {name: value.detach().cpu().numpy().copy() for name, value in self.net.state_dict().items()}
        return weights, list(self.losses)

    def _pass(self, optimiser: torch.optim.Optimizer, rows: NDArray[Any]) -> None:
        """Go through the windows of `rows` once, batch by batch."""
        self.call.train()
        for part in np.array_split(rows, max(1, len(rows) // self.training.batch_size)):
            loss = self._loss(part)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
            optimiser.step()

    def _held_out_loss(self, rows: NDArray[Any]) -> float:
        self.call.eval()
        with torch.inference_mode():
            loss = float(self._loss(rows))
        team = self.training.team
        return loss if team is None else team.mean(loss)  # so that all stop at the same epoch

    def _loss(self, rows: NDArray[Any]) -> Tensor:
        """Loss of this process's share of `rows`; of all rows where it would get none."""
        team = self.training.team
        if team is not None and len(rows) >= team.size:
            rows = rows[team.rank :: team.size]
        return self.net.loss(self.call, self._tensor(self.windows[rows]), self._tensor(self.present[rows]))

    def _tensor(self, array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)
