"""What a source gives for each query of a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.servers.servers import free_port

from foreshock_pipelines.datasets.windows import Windows
from foreshock_pipelines.jobfile import Job
from foreshock_pipelines.jobs.probe import Answer, check_series, probe


def job(source: dict[str, Any], **queries: str) -> Job:
    return Job.model_validate({"name": "j", "source": source, "queries": queries, "entity": ["instance"]})


def test_series_are_judged_by_their_labels() -> None:
    one, two = {"__name__": "up", "instance": "a", "device": "x"}, {"instance": "b", "device": "x"}
    assert check_series("k", [one, two], ["instance"]) == Answer("k", 2, 2)
    assert "no series" in str(check_series("k", [], ["instance"]).problem)
    assert "missing on 1 of 2" in str(check_series("k", [one, {"instanc": "b"}], ["instance"]).problem)
    assert "did you mean 'instanc'?" in str(check_series("k", [one, {"instanc": "b"}], ["instance"]).problem)
    twins = check_series("k", [one, {**one, "device": "y"}], ["instance"])
    assert "2 series for 1 entities, which differ in device; aggregate, as in sum by (instance)" in str(
        twins.problem
    )
    assert check_series("k", [two], ["instance", "service.name"]).missing == ("service.name",)
    assert 'by (instance, "service.name")' in str(check_series("k", [two], ["instance", "service.name"]).problem)


def test_a_source_that_does_not_answer_is_one_problem() -> None:
    url = f"http://ada:hunter2@127.0.0.1:{free_port()}"
    (answer,) = probe(job({"prometheus": url, "retries": 0}, cpu="up", memory="up"))
    assert answer.key == "source"
    assert answer.problem and "hunter2" not in answer.problem


def test_of_a_file_each_feature_is_counted(fleet: Windows, tmp_path: Path) -> None:
    fleet.write_parquet(tmp_path / "w.parquet")
    source = {"parquet": str(tmp_path / "w.parquet")}
    assert probe(job(source, cpu="x")) == [Answer("queries.cpu", 3, 3)]
    (answer,) = probe(job(source, swap="x"))
    assert "the file has no feature 'swap'" in str(answer.problem)


@pytest.mark.prometheus
def test_a_real_prometheus_is_asked_each_query(fleet_prometheus: str, fleet: Windows) -> None:
    at = f" @ {fleet.end.timestamp():.0f}"
    found = probe(
        job(
            {"prometheus": fleet_prometheus},
            good=f"cpu{at}", nothing="no_such_metric", wrong="sum by (", lost=f"sum(cpu{at})", scalar="1",
            twins=f'cpu{at} or label_replace(cpu{at}, "b", "1", "", "")',
        )
    )  # fmt: skip
    problems = {answer.key.removeprefix("queries."): answer.problem or "" for answer in found}
    assert problems["good"] == ""
    assert "no series" in problems["nothing"]
    assert "parse error" in problems["wrong"]
    assert "the entity label 'instance' is missing on 1 of 1" in problems["lost"]
    assert "missing on 1 of 1" in problems["scalar"]
    assert "differ in b" in problems["twins"]
