"""The how-to page of on-call: what it says to write is a notifications file that is accepted, step by step."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from foreshock.oncall.config import NotificationsConfig
from foreshock.oncall.routing import ways
from foreshock_pipelines.jobfile import TopologyConfig
from foreshock_pipelines.jobfile.variables import expand

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "oncall.md"
BLOCKS: list[dict[str, Any]] = [
    yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
]
PARTS = [block for block in BLOCKS if "topology" not in block]
ENVIRONMENT = {"SLACK_WEBHOOK_URL": "http://127.0.0.1/hook"}


def written(steps: int) -> NotificationsConfig:
    """The file after so many parts of the page: each adds keys, or replaces them."""
    file: dict[str, Any] = {}
    for part in PARTS[:steps]:
        for key, value in part.items():
            file[key] = {**file[key], **value} if isinstance(value, dict) and key in file else value
    return NotificationsConfig.model_validate(expand(file, ENVIRONMENT, "n.yaml"))


@pytest.mark.parametrize("steps", range(1, len(PARTS) + 1))
def test_the_file_is_valid_after_each_part_of_the_page(steps: int) -> None:
    assert written(steps).channels["chat"].type == "slack"


def test_the_routes_of_the_page_do_what_it_says() -> None:
    route = written(len(PARTS)).route
    assert [way.policy for way in ways(route, {"severity": "critical", "job": "batch-7"})] == ["loud", "quiet"]
    assert [way.policy for way in ways(route, {"severity": "warning", "job": "shop"})] == ["default"]


def test_the_topologies_of_the_page_are_valid() -> None:
    found = [TopologyConfig.model_validate(block["topology"]) for block in BLOCKS if "topology" in block]
    assert [topology.metric is not None for topology in found] == [False, True]
