from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest
import yaml
from tests.integration.platform.cli.test_config import foreshock


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "node.yaml"
    path.write_text(
        "name: node\nsource: {prometheus: 'http://x'}\nqueries: {cpu: up}\nentity: [instance]\n"
        "schedule: {train: '0 3 * * *', forecast: 6h, timezone: Asia/Tokyo}\n"
    )
    return path


def test_exported_manifests_are_valid_against_kuberays_own_schema(file: Path, root: Path) -> None:
    crd = root.parent / "shared" / "schemas" / "kuberay" / "raycronjobs.yaml"
    if not crd.exists():
        pytest.skip("KubeRay's custom resource definitions are not at hand")
    (version,) = yaml.safe_load(crd.read_text())["spec"]["versions"]
    done = foreshock("schedule", "export", "--kubernetes", "-c", str(file), "--image", "registry/foreshock:1")
    assert done.returncode == 0, done.stderr
    manifests = list(yaml.safe_load_all(done.stdout))
    assert [m["spec"]["schedule"] for m in manifests] == ["0 3 * * *", "0 */6 * * *"]
    for manifest in manifests:
        jsonschema.validate(manifest, version["schema"]["openAPIV3Schema"])
        assert manifest["spec"]["timeZone"] == "Asia/Tokyo"
        container = manifest["spec"]["jobTemplate"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
        assert container["containers"][0]["image"] == "registry/foreshock:1"


def test_what_cron_cannot_say_is_a_usage_error(file: Path) -> None:
    file.write_text(file.read_text().replace("6h", "7h"))
    done = foreshock("schedule", "export", "--kubernetes", "-c", str(file))
    assert done.returncode == 2
    assert "schedule.forecast" in done.stderr
    assert done.stdout == ""


def test_the_next_time_of_each_run_is_listed_in_utc(file: Path) -> None:
    train, forecast = json.loads(foreshock("schedule", "list", "-c", str(file), "--json").stdout)
    due = datetime.fromisoformat(train["next"])
    assert (due.hour, due.minute, due.tzinfo) == (18, 0, UTC)  # 3 o'clock in Tokyo
    assert forecast["kind"] == "forecast"
