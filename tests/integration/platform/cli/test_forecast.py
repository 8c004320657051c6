"""``foreshock forecast`` and ``foreshock capacity``, as people type them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

from foreshock.cli.app import _load_commands, app
from foreshock_models.errors import ConfigError, DataError
from foreshock_pipelines.datasets.windows import Windows

pytestmark = pytest.mark.ray
_load_commands()
Run = Callable[..., Result]

JOB = """
name: disks
source: {parquet: disks.parquet}
queries:
  disk: {query: disk, valid_range: [0, 1], exhaustion: {limit: 95%, within: 48h}}
  load: load
entity: [instance]
step: 30m
history: 14d
"""


@pytest.fixture
def run(tmp_path: Path, ray_cluster: None, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command on two hosts: the disk of one is full tomorrow, that of the other hardly moves."""
    monkeypatch.setenv("FORESHOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    t = np.arange(14 * 48)
    rng = np.random.default_rng(0)
    frames = [
        pd.DataFrame(
            {
                "timestamp": pd.date_range("2026-03-02", periods=len(t), freq="30min", tz="UTC"),
                "instance": host,
                "disk": 0.3 + slope * t / len(t) + rng.normal(0, 0.002, len(t)),
                "load": 5 + 2 * np.sin(2 * np.pi * t / 48) + rng.normal(0, 0.2, len(t)),
            }
        )
        for host, slope in (("a", 0.6), ("b", 0.001))
    ]
    Windows.from_pandas(pd.concat(frames), entity=["instance"]).write_parquet(tmp_path / "disks.parquet")
    (tmp_path / "job.yaml").write_text(JOB)
    return lambda *words: CliRunner().invoke(app, [words[0], "-c", str(tmp_path / "job.yaml"), *words[1:]])


def test_a_forecast_is_kept_and_what_runs_out_is_an_alert(run: Run, tmp_path: Path) -> None:
    done = run("forecast", "--horizon", "36h", "--json", "-o", str(tmp_path / "out.csv"))
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert {(one["entity"], one["feature"]) for one in found["forecasts"]} == {
        (host, feature) for host in "ab" for feature in ("disk", "load")
    }
    (alert,) = found["alerts"]
    assert "disk of a" in alert
    rows = pd.read_csv(tmp_path / "out.csv")
    assert len(rows) == 4 * 72
    assert (rows["lower"] <= rows["point"]).all()
    listed = CliRunner().invoke(app, ["alerts", "list", "--json"])
    assert "disk" in listed.stdout


def test_people_get_a_line_for_each_series_and_nothing_is_kept_if_they_say_so(run: Run) -> None:
    done = run("forecast", "--no-save", "--method", "seasonal_naive")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("seasonal_naive") == 4
    assert "4 series in" in done.stdout
    assert json.loads(CliRunner().invoke(app, ["alerts", "list", "--json"]).stdout)["alerts"] == []


def test_capacity_names_first_what_runs_out_first(run: Run) -> None:
    done = run("capacity", "--horizon", "72h", "--json")
    assert done.exit_code == 0, done.output
    first, second = json.loads(done.stdout)
    assert (first["entity"], second["entity"]) == ("a", "b")
    assert 10 < first["hours"] < 48
    assert second["hours"] is None
    assert first["hours"] == round(first["hours"], 2)
    table = run("capacity", "--horizon", "72h").stdout
    assert "runs out in" in table
    steady = next(line for line in table.splitlines() if line.startswith("b "))
    assert "30%" in steady
    assert "95%" in steady
    assert "later than 168 h" in steady
    assert "under" in steady.rpartition("within 48 h")[0].rpartition("  ")[2]


def test_a_host_that_is_gone_is_neither_forecast_nor_in_the_capacity_report(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "disks.parquet"
    frame = Windows.read_parquet(file).to_pandas()
    gone = (frame["instance"] == "a") & (frame["timestamp"] > frame["timestamp"].max() - pd.Timedelta(hours=3))
    frame.loc[gone, ["disk", "load"]] = np.nan
    Windows.from_pandas(frame, entity=["instance"], step=1800).write_parquet(file)
    assert [row["entity"] for row in json.loads(run("capacity", "--json").stdout)] == ["b"]
    done = run("forecast", "--no-save", "--method", "seasonal_naive")
    assert done.stdout.count("seasonal_naive") == 2
    assert done.stdout.count("no forecast of disk, load of a: no sample in the last 1h") == 1


def test_bad_words_are_refused_with_what_to_write(run: Run, tmp_path: Path) -> None:
    assert "named *.parquet or *.csv" in run("forecast", "-o", "x.txt").output
    assert "longer than 0" in run("forecast", "--horizon", "0h").output
    with pytest.raises(ConfigError, match=r"no forecaster 'arma'; did you mean 'arima'"):
        raise run("forecast", "--method", "arma").exception or AssertionError
    with pytest.raises(DataError, match="longer than the history"):
        raise run("forecast", "--horizon", "90d").exception or AssertionError
    job = tmp_path / "job.yaml"
    job.write_text(JOB.replace(", exhaustion: {limit: 95%, within: 48h}", ""))
    with pytest.raises(ConfigError, match="no query says what may run out"):
        raise run("capacity").exception or AssertionError
