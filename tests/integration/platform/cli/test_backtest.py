"""``foreshock backtest``, as people type it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from foreshock.cli.app import _load_commands, app
from foreshock_models.errors import ConfigError

_load_commands()


@pytest.fixture
def files(trained: Any, tmp_path: Path) -> dict[str, str]:
    """A stricter policy, labels, and where the page goes."""
    text = trained.file.read_text().replace("fleet.parquet", str(trained.file.parent / "fleet.parquet"))
    (tmp_path / "job.yaml").write_text(text + "history: 1d\n")
    (tmp_path / "strict.yaml").write_text(text + "history: 1d\nalerts: {for: 5 of 5}\n")
    lines = [
        f"{i.start.isoformat()},{i.end.isoformat()},{i.entity},incident {n}"
        for n, i in enumerate(trained.incidents)
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["start,end,instance,incident", *lines]))
    return {
        name.partition(".")[0]: str(tmp_path / name)
        for name in ("job.yaml", "strict.yaml", "labels.csv", "page.html")
    }


@pytest.mark.ray
def test_two_policies_side_by_side_against_labels_as_json_and_as_a_page(
    files: dict[str, str], ray_cluster: None
) -> None:
    arguments = ["-c", files["job"], "--start", "-6h", "--refit", "3h", "--policy", files["strict"]]
    done = CliRunner().invoke(
        app, ["backtest", *arguments, "--labels", files["labels"], "--html", files["page"], "--json"]
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["fits"] == 2
    present, proposed = found["policies"]
    assert (present["for"], proposed["for"]) == ("3 of 5", "5 of 5")
    assert present["recall"] is not None
    incidents = present["incidents"]
    assert sum(len(each["alerts"]) for each in incidents["incidents"]) == len(present["alerts"])
    assert incidents["pages_saved"] == pytest.approx(1 - incidents["count"] / len(present["alerts"]), abs=1e-4)
    assert incidents["pairwise"]["f1"] >= 0.9
    page = Path(files["page"]).read_text()
    assert page.startswith("<!doctype html>")
    assert "host-01" in page


@pytest.mark.ray
def test_people_get_a_table_of_policies_and_of_alerts(files: dict[str, str], ray_cluster: None) -> None:
    done = CliRunner().invoke(app, ["backtest", "-c", files["job"], "--start", "-5h"])
    assert done.exit_code == 0, done.output
    assert "per entity and week" in done.stdout
    assert "alerts, present" in done.stdout
    assert "incidents, present" in done.stdout
    assert "pages saved" in done.stdout


def test_labels_that_are_no_labels_are_refused_before_anything_is_read(files: dict[str, str]) -> None:
    Path(files["labels"]).write_text("begin,end\n1,2\n")
    done = CliRunner().invoke(app, ["backtest", "-c", files["job"], "--start", "-5h", "--labels", files["labels"]])
    assert isinstance(done.exception, ConfigError)
    assert "labels need the columns start, end, instance" in str(done.exception)
