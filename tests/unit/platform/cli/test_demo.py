"""The demo: its job file."""

from __future__ import annotations

from pathlib import Path

import pytest

from foreshock.cli.demo import write_job
from foreshock_pipelines.datasets.demo import demo_fleet


@pytest.mark.parametrize(("hosts", "calls"), [(1, False), (4, False), (5, True)])
def test_the_job_file_of_the_demo_is_valid_for_any_number_of_hosts(hosts: int, calls: bool, tmp_path: Path) -> None:
    windows, _ = demo_fleet(hosts=hosts, days=0.1, incidents=0)
    job, file = write_job(tmp_path, windows, hosts)
    assert file.parent == tmp_path
    assert (job.topology is not None) is calls
