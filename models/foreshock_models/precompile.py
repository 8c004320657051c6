"""Compile the kernels of the default detectors, ahead of their first use.

``python -m foreshock_models.precompile`` does it, and prints how far it has come: ``done total`` on each line.
Numba keeps what it compiled (`foreshock_models.kernels.cache`), so that every process after it loads it.
"""

from __future__ import annotations

import os
import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from foreshock_models.panel import Panel

__all__ = ["compile_kernels", "compiled_before"]

ROWS, FEATURES = 600, 6
SMALL: dict[str, dict[str, Any]] = {
    "iforest": {"n_trees": 4},
    "lstm": {"epochs": 1, "max_windows": 64},
    "vae": {"epochs": 1, "max_windows": 64},
}
"""Parameters that make a fit short; which kernels are used does not depend on them."""
MARK = "compiled"


def compiled_before() -> bool:
    """Return whether these kernels were compiled on this machine."""
    from foreshock_models.kernels.cache import cache_folder

    folder = cache_folder()
    return folder is not None and (folder / MARK).exists()


def compile_kernels(progress: Callable[[int, int], None]) -> None:
    """Fit, score and explain synthetic rows with the default detectors.

    Parameters
    ----------
    progress
        Called with the number of kernels that are compiled, and of all.
    """
    from numba.core import event as module

    from foreshock_models.detectors import Ensemble, default_detectors, make
    from foreshock_models.kernels.cache import cache_folder
    from foreshock_models.policy import Policy

    events: Any = module
    kernels = _kernels()

    class Count(events.Listener):  # type: ignore[misc]
        def on_start(self, event: Any) -> None:
            """Nothing is done yet."""

        def on_end(self, event: Any) -> None:
            progress(sum(bool(kernel.signatures) for kernel in kernels), len(kernels))

    events.register("numba:compile", Count())
    for n_features in (FEATURES, 1):
        rows = _rows(n_features)
        members = {name: make(name, **SMALL.get(name, {})) for name in default_detectors(n_features)}
        for member in members.values():
            member.fit(rows)
        model = Ensemble().join(members, rows)
        since = int(rows.timestamps[-20])
        rows.timestamps.flags.writeable = False  # as those of Arrow tables are: another type to numba
        scores = model.score(rows, since=since)
        model.usual(rows)
        for detector in (model, *members.values()):
            detector.explain(rows, [rows.n_rows - 1])
        last = rows.take(rows.timestamps >= since)
        Policy().apply(last, scores.score, np.ones(last.n_rows, np.bool_))
    progress(len(kernels), len(kernels))
    folder = cache_folder()
    if folder is not None:
        (folder / MARK).touch()


def _kernels() -> list[Any]:
    """All functions that numba compiles."""
    from foreshock_models.kernels import compiled

    found = []
    for module in pkgutil.iter_modules(compiled.__path__):
        namespace = vars(import_module(f"{compiled.__name__}.{module.name}"))
        found += [f for f in namespace.values() if hasattr(f, "signatures") and hasattr(f, "py_func")]
    return list({id(f): f for f in found}.values())


def _rows(n_features: int) -> Panel:
    """Entities with noise."""
    values = np.random.default_rng(0).normal(0.0, 1.0, (2 * ROWS, n_features))
    return Panel.of(values, entities=np.repeat(["a", "b"], ROWS))


def _main() -> None:
    parent = os.getppid()

    def show(done: int, total: int) -> None:
        if os.getppid() != parent:  # nobody waits any more
            os._exit(1)
        print(done, total, flush=True)

    compile_kernels(show)


if __name__ == "__main__":
    _main()
