from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml


def foreshock(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from foreshock.cli import main; main()", *args]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **env}, timeout=120)


@pytest.mark.parametrize("option", [(), ("-c",)], ids=["argument", "option"])
def test_a_good_job_file_passes(root: Path, option: tuple[str, ...]) -> None:
    done = foreshock("config", "validate", *option, str(root / "configs" / "node.yaml"))
    assert done.returncode == 0, done.stderr
    assert "6 features per instance" in done.stdout


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("detectors: [ifrest]", "did you mean 'iforest'?"),
        ("sttep: 30s", "unknown key 'sttep'; did you mean 'step'?"),
        ("alerts: {for: 6 of 5}", "6 of 5 can never happen"),
        ("false_alerts: 1 per wek", "did you mean 'week'?"),
        ("schedule: {train: 99 3 * * *}", "schedule.train"),
        ("schedule: {timezone: Mars}", "no time zone"),
    ],
)
def test_a_mistake_is_named_with_file_key_and_what_is_allowed(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(
        f"name: j\nsource: {{prometheus: 'http://x'}}\nqueries: {{cpu: up}}\nentity: [instance]\n{line}\n"
    )
    done = foreshock("config", "validate", str(file))
    assert done.returncode == 2
    assert str(file) in done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_the_printed_schema_accepts_every_job_file_we_ship(root: Path) -> None:
    schema = json.loads(foreshock("config", "schema").stdout)
    for file in (root / "configs").glob("*.yaml"):
        jsonschema.validate(yaml.safe_load(file.read_text()), schema)


def test_a_wrong_setting_is_named() -> None:
    done = foreshock("config", "schema", FORESHOCK_PORT="many")
    assert done.returncode == 2
    assert "FORESHOCK_PORT" in done.stderr
