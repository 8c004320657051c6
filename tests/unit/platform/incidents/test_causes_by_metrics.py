"""Root causes from the metrics around an incident."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from foreshock.incidents.causes_by_metrics import CauseRanker
from foreshock_pipelines.datasets.demo import demo_calls, demo_fleet
from foreshock_pipelines.jobfile import Job, load_job


def a_cascade(house: Any, tmp_path: Path) -> tuple[Job, Any]:
    windows, planted = demo_fleet(hosts=10, days=2, incidents=0, cascades=1, seed=4)
    windows.write_parquet(tmp_path / "fleet.parquet")
    queries = "".join(f"  {name}: demo_{name}\n" for name in windows.features)
    (tmp_path / "j.yaml").write_text(
        f"name: demo\nsource: {{parquet: fleet.parquet}}\nqueries:\n{queries}entity: [instance]\nstep: 60s\n"
        f"topology: {{calls: {demo_calls(10)}}}\n".replace("'", '"')
    )
    job = load_job(tmp_path / "j.yaml")
    house.jobs = {"demo": job}
    return job, planted[0]


def test_a_node_that_has_not_alerted_is_named_as_the_cause(house: Any, tmp_path: Path) -> None:
    _, cascade = a_cascade(house, tmp_path)
    front = cascade.followers[-1]
    minute = cascade.start.timestamp() / 60 + 6
    house.alert("f", minute, front, job="demo")
    house.gather()
    incident = house.incidents.list().incidents[0]
    assert incident.causes[0]["node"] == front
    assert CauseRanker(house.store, lambda: house.jobs, house.graphs).run(10) == 1
    found = house.incidents.get(incident.id)
    assert found.causes[0]["node"] == cascade.entity
    assert "departed at the onset: latency" in found.causes[0]["reason"]
    assert house.told(incident.id)[-1] == "ranked"


def test_a_source_that_cannot_be_read_leaves_the_ranking_by_alerts(house: Any, tmp_path: Path) -> None:
    a_cascade(house, tmp_path)
    (tmp_path / "fleet.parquet").unlink()
    house.alert("f", 100, "host-01", job="demo")
    house.gather()
    ranker = CauseRanker(house.store, lambda: house.jobs, house.graphs)
    assert ranker.run(10) == 0
    assert house.incidents.list().incidents[0].causes[0]["node"] == "host-01"
