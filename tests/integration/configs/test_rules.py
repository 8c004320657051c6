"""The alert rules that we ship, checked and tested by Prometheus' own tool."""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from tests.servers.servers import need

from foreshock.alerts.delivery import alert_deliverer
from foreshock.api.exposition import certificate_metrics, render
from foreshock.runs.model import Run
from foreshock.runtime.metrics import ControlLoopMetrics
from foreshock.scoring.remote_write import METRICS
from foreshock.scoring.report import PassReport, WriteStats
from foreshock.store import open_store
from foreshock_pipelines.jobfile import load_jobs

FOLDER = Path(__file__).resolve().parents[3] / "configs"
RULES = sorted((FOLDER / "rules").glob("*.yml"))
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def promtool(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([need("promtool", "prometheus"), *args], capture_output=True, text=True)


@pytest.mark.prometheus
@pytest.mark.parametrize("file", RULES, ids=lambda f: f.name)
def test_prometheus_takes_the_rules(file: Path) -> None:
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stderr


@pytest.mark.prometheus
@pytest.mark.parametrize("file", RULES, ids=lambda f: f.name)
def test_the_rules_pass_their_unit_tests(file: Path) -> None:
    done = promtool("test", "rules", file.parent / "tests" / file.name.replace(".rules.", ".test."))
    assert done.returncode == 0, done.stderr


def test_every_metric_in_a_rule_is_one_that_the_platform_has(tmp_path: Path) -> None:
    measures = ControlLoopMetrics()
    measures.watch("node")
    measures.passed(
        PassReport("node", "v1", 1_772_400_000_000, stages={"score": 0.1}, trained_ms=1, write=WriteStats())
    )
    measures.failed("node", source=True)
    certificate = {"ends": 1.0, "in_force": True, "reloads": {"ok": 1}}
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    run = Run("r", "node", "train", "failed", NOW, started=NOW)
    texts = [
        measures.exposition(NOW),
        generate_latest(alert_deliverer(store, load_jobs(FOLDER / "node.yaml", env={}).values()).counted).decode(),
        render({}, {}, 0, [], {"control_loop": True}, [run], NOW, certificate_metrics(certificate)),
    ]
    store.close()
    there = {s.name for text in texts for family in text_string_to_metric_families(text) for s in family.samples}
    for file in RULES:
        for rule in (rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]):
            for name in re.findall(r"(?<![\w:])foreshock_\w+", rule["expr"]):
                assert name in there | set(METRICS), f"{file.name}: {name}"


def test_rules_are_kept_apart_from_job_files() -> None:
    assert load_jobs(FOLDER / "node.yaml", env={})
    assert not [f for f in FOLDER.glob("*.y*ml") if "groups" in yaml.safe_load(f.read_text())]
