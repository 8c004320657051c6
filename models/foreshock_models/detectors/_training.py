"""How a network is trained: Adam, stopped early by the newest rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from foreshock_models.detectors._nets import Net, device_of
from foreshock_models.detectors._windows import Stacked

if TYPE_CHECKING:
    from foreshock_models.detectors._network import NetworkDetector

__all__ = ["Team", "train"]


class Team(Protocol):
    """Processes that train one network together: each takes its share of every batch.

    All hold the same rows and the same seed, so that they draw the same batches.
    """

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""

    @property
    def size(self) -> int:
        """How many there are."""

    def join(self, net: nn.Module) -> nn.Module:
        """The same network, beginning as rank 0's, its gradients averaged over the processes."""

    def mean(self, value: float) -> float:
        """Mean of a number over the processes."""


def train(
    detector: NetworkDetector,
    n_features: int,
    windows: Stacked,
    known: Stacked,
    late: NDArray[np.bool_],
    settle: Callable[[dict[str, NDArray[np.float32]]], object],
) -> None:
    """Train the network that `detector` describes; `settle` takes its weights, by name.

    Parameters
    ----------
    late
        ``(n_rows,)``: the rows that say when to stop; the network learns from the others, and the best weights are
        kept.
    settle
        Called at the end, and before each call of the detector's `on_epoch`.
    """
    with torch.random.fork_rng():
        torch.manual_seed(detector.random_state)
        device = device_of(detector.device)
        net = detector._build(n_features).to(device)
        _Run(detector, net, device, windows, known, settle).train(np.flatnonzero(~late), np.flatnonzero(late))
    settle(_weights(net))


class _Run:
    def __init__(
        self,
        detector: NetworkDetector,
        net: Net,
        device: torch.device,
        windows: Stacked,
        known: Stacked,
        settle: Callable[[dict[str, NDArray[np.float32]]], object],
    ) -> None:
        self.detector = detector
        self.net = net
        self.run: nn.Module = net
        self.device = device
        self.windows = windows
        self.known = known
        self.settle = settle

    def train(self, early: NDArray[Any], late: NDArray[Any]) -> None:
        detector, net, team = self.detector, self.net, self.detector.team
        rng = np.random.default_rng(detector.random_state)
        late = rng.permutation(late)[: detector.max_windows // 2]
        if team is not None:
            self.run = team.join(net)
            torch.manual_seed(detector.random_state + team.rank)  # the noise on each share is its own
        optimiser = torch.optim.Adam(net.parameters(), lr=detector.learning_rate)
        best, best_weights, waited = math.inf, None, 0
        detector.losses_ = []
        for epoch in range(1, detector.epochs + 1):
            self.run.train()
            chosen = rng.permutation(early)[: detector.max_windows]
            for part in np.array_split(chosen, max(1, len(chosen) // detector.batch_size)):
                loss = self._loss(part)
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimiser.step()
            self.run.eval()
            with torch.inference_mode():
                held = float(self._loss(late if len(late) else chosen))
            if team is not None:
                held = team.mean(held)  # so that all stop at the same pass
            detector.losses_.append(held)
            if detector.on_epoch is not None:
                detector.on_epoch(epoch, self._settled)
            if held < best * 0.995:
                best, waited = held, 0
                best_weights = {k: v.detach().clone() for k, v in net.state_dict().items()}
            elif (waited := waited + 1) >= detector.patience:
                break
        if best_weights is not None:
            net.load_state_dict(best_weights)

    def _settled(self) -> NetworkDetector:
        self.settle(_weights(self.net))
        return self.detector

    def _loss(self, rows: NDArray[Any]) -> Tensor:
        """Of this process's part of `rows`."""
        mine = self._share(rows)
        return self.net.loss(self.run, self._tensor(self.windows[mine]), self._tensor(self.known[mine]))

    def _share(self, rows: NDArray[Any]) -> NDArray[Any]:
        """This process's part of `rows`; all of them where it would get none."""
        team = self.detector.team
        if team is None or len(rows) < team.size:
            return rows
        return rows[team.rank :: team.size]

    def _tensor(self, array: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def _weights(net: Net) -> dict[str, NDArray[np.float32]]:
    """Copies: the network's own change as it learns."""
    return {name: value.detach().cpu().numpy().copy() for name, value in net.state_dict().items()}
