"""Data-parallel training of one network by several processes: Ray Train with torch's distributed data parallel."""

from __future__ import annotations

import tempfile
import time
from typing import Any

import torch
from torch import nn

from foreshock_models.calibration.budget import Budget
from foreshock_models.detectors import NetworkDetector
from foreshock_models.errors import JobError
from foreshock_models.panel import Panel
from foreshock_pipelines.training.progress import report_epochs

__all__ = ["check_capacity", "start_distributed_fit"]

CPUS = 0.5
"""CPUs that a worker requests from the cluster, the same as a task that fits alone."""
RETRIES = 3


def check_capacity(workers: int) -> None:
    """Raise JobError if the cluster has too few CPUs: the workers would wait forever."""
    import ray

    cpus = ray.cluster_resources().get("CPU", 0.0)
    if workers * CPUS > cpus:
        raise JobError(
            f"{workers} workers need {workers * CPUS:g} CPUs, and the Ray cluster has {cpus:g}; "
            f"ask for at most {int(cpus / CPUS)}"
        )


def start_distributed_fit(
    name: str, detector: NetworkDetector, panel: Any, budget: Budget, workers: int, counter: Any = None
) -> Any:
    """Start a fit on `workers` processes; return the Ray reference of the fitted detector and its seconds.

    `panel` is a Ray reference, `counter` an actor that counts epochs. A worker that dies restarts the training.
    """
    import ray

    # a process of its own: Ray Train takes over SIGINT in the process that calls it
    task = ray.remote(num_cpus=0, max_retries=RETRIES, max_calls=1)(_run_trainer)
    return task.options(name=f"fit {name}").remote(name, detector, [panel], budget, workers, counter)


def _run_trainer(
    name: str, detector: NetworkDetector, panel: list[Any], budget: Budget, workers: int, counter: Any
) -> tuple[NetworkDetector, float]:
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="foreshock-train-") as folder:
        trainer = TorchTrainer(
            _train_worker,
            train_loop_config={"detector": detector, "panel": panel, "budget": budget, "counter": counter},
            scaling_config=ScalingConfig(
                num_workers=workers,
                use_gpu=ray.cluster_resources().get("GPU", 0) >= workers,
                resources_per_worker={"CPU": CPUS},
            ),
            run_config=RunConfig(
                name=name, storage_path=folder, failure_config=FailureConfig(max_failures=RETRIES)
            ),
        )
        result: Any = trainer.fit()  # Ray's annotation names the class of its first version
    return result.return_value, time.perf_counter() - began


def _train_worker(config: dict[str, Any]) -> Any:
    """Run the whole fit in one worker, its gradients shared with the others; rank 0 returns the fitted detector."""
    import ray

    (reference,) = config["panel"]
    panel: Panel = ray.get(reference)
    detector: NetworkDetector = config["detector"]
    detector.team = _RayTrainGroup()
    with report_epochs(detector, config["counter"] if detector.team.rank == 0 else None):
        detector.fit(panel, budget=config["budget"], trust=True)
    first = detector.team.rank == 0
    detector.team = None
    return detector if first else None


class _RayTrainGroup:
    """The process group of a Ray Train run."""

    def __init__(self) -> None:
        import ray.train

        context = ray.train.get_context()
        self.rank: int = context.get_world_rank()
        self.size: int = context.get_world_size()

    def join(self, net: nn.Module) -> nn.Module:
        from ray.train.torch import prepare_model

        joined: nn.Module = prepare_model(net)
        return joined

    def mean(self, value: float) -> float:
        device = torch.device("cuda" if torch.distributed.get_backend() == "nccl" else "cpu")
        total = torch.tensor(value, dtype=torch.float64, device=device)
        torch.distributed.all_reduce(total)
        return float(total) / self.size
