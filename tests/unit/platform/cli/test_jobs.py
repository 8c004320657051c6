"""Jobs that run once: what they say, and that they refuse what cannot be done."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import structlog

from foreshock.cli.app import run as run_command


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FORESHOCK_HOME", str(tmp_path))
    return tmp_path


def run(*words: object) -> int:
    try:
        return run_command([str(word) for word in words])
    finally:
        structlog.reset_defaults()  # its logs go to a standard error that is no more


def without(trained: Any, folder: Path, *features: str) -> Path:
    """A job whose queries of these features give nothing."""
    table = trained.windows.table
    for name in features:
        column = table.column_names.index(name)
        table = table.set_column(column, table.field(name), pa.nulls(len(table), pa.float64()))
    pq.write_table(table, folder / "fleet.parquet")
    (folder / "job.yaml").write_text(trained.file.read_text())
    return folder / "job.yaml"


def test_an_estimate_of_no_series_fails_and_says_so(
    trained: Any, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = without(trained, home, *trained.windows.features)
    assert run("estimate", "-c", file) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert "no query gives a series at present (cpu, memory" in err


def test_an_estimate_names_the_features_without_a_series(
    trained: Any, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("estimate", "-c", without(trained, home, "latency")) == 0
    out = capfd.readouterr().out
    assert "no series at present: latency" in out
    assert "it fits" in out


def test_a_start_after_the_end_is_wrong_usage(trained: Any, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for words in (["estimate"], ["fetch", "-o", home / "x.parquet"], ["score"]):
        assert run(*words, "-c", trained.file, "--start", "-1h", "--end", "-2h") == 2
        assert "is not before the end" in capfd.readouterr().err


def test_scores_and_windows_are_written_whole(trained: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESHOCK_REGISTRY_URI", str(trained.registry))
    assert run("fetch", "-c", trained.file, "--start", "-1h", "-o", home / "new" / "windows.parquet") == 0
    assert run("score", "-c", trained.file, "--start", "-1h", "-o", home / "scores.parquet") == 0
    rows = pq.read_table(home / "new" / "windows.parquet").num_rows
    assert rows == pq.read_table(home / "scores.parquet").num_rows > 0
    span = pq.read_table(home / "scores.parquet")["timestamp"].to_pylist()
    assert max(span) - min(span) <= timedelta(hours=1)
    assert sorted(p.name for p in home.glob("*.parquet")) == ["scores.parquet"]


def test_a_version_is_named_by_its_beginning(
    trained: Any, home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORESHOCK_REGISTRY_URI", str(home / "models"))
    shutil.copytree(trained.registry, home / "models")
    (version,) = [path.name for path in (home / "models" / "small").iterdir() if path.is_dir()]
    assert run("models", "show", "small", version[:8]) == 0
    assert version in capfd.readouterr().out
    shutil.copytree(home / "models" / "small" / version, home / "models" / "small" / f"{version}0")
    assert run("models", "show", "small", version[:8]) == 2
    assert f"is ambiguous: {version}0, {version}" in " ".join(capfd.readouterr().err.split())
    assert run("models", "show", "small", version) == 0
    assert run("models", "show", "small", "champion") == 0
    assert run("models", "show", "small", "2020") == 1
