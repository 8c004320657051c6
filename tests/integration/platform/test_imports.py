"""What the processes of the platform load: each of them pays for it in memory, and at each start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "sklearn", "pyod", "shap", "prophet", "statsforecast", "optuna", "matplotlib", "pandas"}
COMPILED = {"numba"}


def loaded(code: str) -> set[str]:
    """The heavy packages that a process has after running `code`."""
    code += f"\nimport sys; print(*({HEAVY | COMPILED!r} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("module", ["runtime.control_loop", "runtime.alert_actor", "scoring.worker"])
def test_what_only_schedules_or_alerts_loads_no_models(module: str) -> None:
    assert not loaded(f"import foreshock.{module}")


def test_what_serves_loads_nothing_that_trains() -> None:
    assert not loaded("import foreshock.api.app") & HEAVY


@pytest.mark.parametrize("command", ["--help", "alerts list", "models list", "runs list", "config schema"])
def test_a_command_that_only_looks_loads_no_models(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORESHOCK_HOME", str(tmp_path))
    run = "try:\n main()\nexcept SystemExit as exc:\n assert not exc.code"
    assert not loaded(
        f"import sys; from foreshock.cli import main; sys.argv = ['foreshock', *{command.split()}]\n{run}"
    )
