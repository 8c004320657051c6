"""A Ray cluster of several nodes, of which some are killed; what came of it is printed as JSON.

It is a process of its own, because a process can be in one cluster only. Arguments: WINDOWS REGISTRY JOB.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psutil
import ray
from ray.cluster_utils import Cluster
from tests.integration.pipelines.jobs.busy import busy

from foreshock_models.calibration.budget import Budget
from foreshock_models.panel import Panel
from foreshock_models.policy import Policy
from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.registry import Registry
from foreshock_pipelines.scoring.rows import score_panel
from foreshock_pipelines.scoring.shards import Shards
from foreshock_pipelines.training.fit import FitResult, fit

STORE = 80_000_000
NETWORK = {"vae": {"epochs": 4, "max_windows": 3000}}


def main(windows: str, registry: str, job: str) -> dict[str, Any]:
    cluster = Cluster()
    # the head computes nothing, so that every node that computes may die
    cluster.add_node(num_cpus=0, object_store_memory=STORE, include_dashboard=False)
    nodes = [_add(cluster), _add(cluster)]
    ray.init(cluster.address, namespace="foreshock", log_to_driver=False, logging_level="ERROR")
    panel = Windows.read_parquet(windows).to_panel()
    try:
        return {
            "most_threads": ray.get(ray.remote(num_cpus=0.5, max_calls=1)(_threads).remote()),
            **_training(cluster, nodes, panel),
            **_scoring(cluster, nodes, panel, registry, job),
        }
    finally:
        ray.shutdown()
        cluster.shutdown()


def _threads() -> int:
    """The most threads that a library would take in a worker like those that fit."""
    import torch
    from threadpoolctl import threadpool_info

    return max(torch.get_num_threads(), *(pool["num_threads"] for pool in threadpool_info()))


def _training(cluster: Cluster, nodes: list[Any], panel: Panel) -> dict[str, Any]:
    """Fit, and kill the node that fits."""
    few = panel.select(panel.entities[:2])
    with ThreadPoolExecutor(1) as pool:
        fitting = pool.submit(_fit, few)
        process = next(busy("ray::fit vae", 0.1))
        died = _kill_node_of(cluster, nodes, process)
        fitted = fitting.result(timeout=120)
    again = _fit(few)  # there is one node left, and it gives the same
    return {
        "node_died_in_training": died,
        "training_differs": float(np.abs(fitted.detector.decision_scores_ - again.detector.decision_scores_).max()),
    }


def _fit(panel: Panel) -> FitResult:
    return fit(panel, NETWORK, Budget.parse("1 per day"))


def _scoring(cluster: Cluster, nodes: list[Any], panel: Panel, registry: str, job: str) -> dict[str, Any]:
    """Score with shards on two nodes, and kill one of them meanwhile."""
    nodes.append(_add(cluster))
    detector, model = Registry(registry).load(job)
    policy, version = Policy(3, 5, 600.0), model.version
    shards = Shards(job, registry, 3)
    pids = ray.get([actor.pid.remote() for actor in shards.actors])
    homes = {psutil.Process(pid).ppid() for pid in pids}
    alone = score_panel(detector, version, panel, policy)
    with ThreadPoolExecutor(1) as pool:
        scoring = pool.submit(shards.score, detector, version, panel, policy)
        died = _kill_node_of(cluster, nodes, psutil.Process(pids[0]))
        scored = scoring.result(timeout=120)
    after = ray.get([actor.pid.remote() for actor in shards.actors])
    shards.close()
    return {
        "nodes_that_scored": len(homes),
        "node_died_in_scoring": died,
        "shards_that_moved": sum(a != b for a, b in zip(pids, after, strict=True)),
        "entities": list(scored.panel.entities),
        "scores_are_the_same": bool(np.array_equal(scored.score, alone.score)),
        "causes_are_the_same": scored.causes == alone.causes,
        "states_are_the_same": all(
            np.array_equal(scored.state.select(alone.state.entities).arrays[key], values, equal_nan=True)
            for key, values in alone.state.arrays.items()
        ),
    }


def _add(cluster: Cluster) -> Any:
    return cluster.add_node(num_cpus=1, object_store_memory=STORE)


def _kill_node_of(cluster: Cluster, nodes: list[Any], process: psutil.Process) -> bool:
    """Kill the node whose worker this is, at once and whole."""
    raylet = process.ppid()
    for node in list(nodes):
        (one,) = node.all_processes["raylet"]
        if one.process.pid == raylet:
            nodes.remove(node)
            cluster.remove_node(node, allow_graceful=False)
            return True
    return False


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
