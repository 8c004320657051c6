"""``foreshock tune``, as people type it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from foreshock.cli.app import _load_commands, app
from foreshock_models.errors import DataError
from foreshock_pipelines.registry import Registry

_load_commands()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FORESHOCK_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.ray
def test_it_prints_json_with_the_settings_and_publishes_a_challenger(
    trained: Any, home: Path, ray_cluster: None
) -> None:
    done = CliRunner().invoke(app, ["tune", "-c", str(trained.file), "--trials", "2", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert set(found["settings"]) == {"iforest"}
    assert len(found["trials"]) == 2
    assert found["comparison"]["won"]
    assert Registry(home / "models").get("small", "challenger").version == found["version"]


@pytest.mark.ray
def test_people_get_a_table_of_defaults_and_best_and_what_became_of_it(
    trained: Any, home: Path, ray_cluster: None
) -> None:
    done = CliRunner().invoke(app, ["tune", "-c", str(trained.file), "--trials", "1", "--promote"])
    assert done.exit_code == 0, done.output
    assert "AUC-PR on injected anomalies" in done.stdout
    assert "is champion" in done.stdout


def test_labels_that_overlap_nothing_end_it(trained: Any, home: Path, ray_cluster: None) -> None:
    (home / "labels.csv").write_text("start,end,instance\n2020-01-01,2020-01-02,host-01\n")
    done = CliRunner().invoke(app, ["tune", "-c", str(trained.file), "--labels", str(home / "labels.csv")])
    assert isinstance(done.exception, DataError)
    assert Registry(home / "models").jobs() == []


def test_a_time_that_is_none_is_wrong_usage(trained: Any, home: Path) -> None:
    done = CliRunner().invoke(app, ["tune", "-c", str(trained.file), "--time", "soon"])
    assert done.exit_code == 2
