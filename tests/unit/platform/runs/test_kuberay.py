from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from foreshock.runs.kuberay import ray_cron_jobs
from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile import Job


def job(**schedule: str | None) -> Job:
    return Job.model_validate(
        {
            "name": "node",
            "source": {"prometheus": "http://localhost:9090"},
            "queries": {"cpu": "up"},
            "entity": ["instance"],
            "detectors": ["iforest"],
            "schedule": schedule,
        }
    )


def manifests(**schedule: str | None) -> list[dict[str, Any]]:
    return ray_cron_jobs(job(**schedule), image="foreshock:0.1", config_map="jobs")


def test_each_scheduled_run_becomes_a_manifest_with_its_time_zone() -> None:
    made = manifests(train="0 3 * * *", tune="0 4 * * 0", forecast="1h", timezone="Europe/Berlin")
    assert [(m["metadata"]["name"], m["spec"]["schedule"]) for m in made] == [
        ("foreshock-node-train", "0 3 * * *"),
        ("foreshock-node-tune", "0 4 * * 0"),
        ("foreshock-node-forecast", "0 */1 * * *"),
    ]
    assert {m["spec"]["timeZone"] for m in made} == {"Europe/Berlin"}


def test_manifests_are_valid_against_kuberays_own_schema(root: Path) -> None:
    file = root.parent / "shared" / "schemas" / "kuberay" / "raycronjobs.yaml"
    if not file.exists():
        pytest.skip("KubeRay's custom resource definitions are not at hand")
    (version,) = yaml.safe_load(file.read_text())["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    for manifest in manifests(train="0 3 * * *", tune="0 4 * * 0", forecast="1h"):
        jsonschema.validate(manifest, schema)
    broken = manifests(train="0 3 * * *", tune=None, forecast=None)[0]
    del broken["spec"]["schedule"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_an_interval_that_cron_cannot_say_is_refused() -> None:
    with pytest.raises(ConfigError, match="7m"):
        manifests(train="7m")
