from __future__ import annotations

import json
import os
from pathlib import Path

import jsonschema
import pytest
import yaml
from tests.fixtures.commands import Completed, command


def foreshock(*args: str, **env: str) -> Completed:
    return command(*args, env={**os.environ, **env})


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
        ("schedule: {timezone: Mars}", "not a known time zone"),
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


def test_no_secret_is_printed(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(
        "name: j\nsource: {prometheus: 'http://ada:hunter2@x/?token=hunter2'}\nqueries: {cpu: up}\nentity: [i]\n"
        "notify: [{type: webhook, url: 'https://hooks.example/services/hunter2'}]\n"
        "write: {url: 'http://ada:hunter2@x/write', basic_auth: {username: a, password: hunter2}}\n"
    )
    for options in ([], ["--json"]):
        done = foreshock("config", "validate", str(file), *options)
        assert done.returncode == 0, done.stderr
        assert "hunter2" not in done.stdout + done.stderr
    file.write_text(file.read_text() + "password: *hunter2\n")
    done = foreshock("config", "validate", str(file))
    assert done.returncode == 2
    assert f"{file}: line 7, password: an alias" in done.stderr
    assert "hunter2" not in done.stderr


def test_asked_online_a_source_that_is_down_fails_with_1(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(
        "name: j\nsource: {prometheus: 'http://127.0.0.1:1', retries: 0}\nqueries: {cpu: up}\nentity: [i]\n"
    )
    done = foreshock("config", "validate", "--online", str(file))
    assert done.returncode == 1
    assert f"{file}: source: http://127.0.0.1:1" in done.stderr
    assert "ok - job j" in done.stdout


@pytest.mark.prometheus
def test_asked_online_a_source_says_how_many_entities_each_query_has(fleet_prometheus: str, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    query = "last_over_time(cpu[20y])"
    file.write_text(
        f"name: j\nsource: {{prometheus: '{fleet_prometheus}'}}\nqueries: {{cpu: '{query}'}}\nentity: [instance]\n"
    )
    done = foreshock("config", "validate", "--online", str(file))
    assert done.returncode == 0, done.stderr
    assert f"{file}: queries.cpu: 3 entities at present" in done.stdout
    found = json.loads(foreshock("config", "validate", "--online", "--json", str(file)).stdout)
    assert found[0]["online"] == [
        {"key": "queries.cpu", "series": 3, "entities": 3, "missing": [], "problem": None}
    ]
