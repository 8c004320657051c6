"""``foreshock fetch``, as people type it, over a source that lacks data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from tests.servers.faulty import Faulty, Reply
from typer.testing import CliRunner, Result

import foreshock
from foreshock.cli.app import _load_commands, app
from foreshock_pipelines.datasets.windows import Windows

_load_commands()
VECTOR = {"status": "success", "data": {"resultType": "vector", "result": []}}
MATRIX = {"resultType": "matrix", "result": [{"metric": {"instance": "a"}, "values": [[1772323200, "1"]]}]}
PARTIAL = {"status": "success", "data": MATRIX, "warnings": ["receive series from store-2: rpc error"]}
SPAN = ["--start", "2026-03-01T00:00:00Z", "--end", "2026-03-01T00:05:00Z"]

Start = Callable[..., Faulty]


@pytest.fixture
def file(faulty: Start, tmp_path: Path) -> Path:
    server = faulty(Reply(body=orjson.dumps(VECTOR)), Reply(body=orjson.dumps(PARTIAL)))
    file = tmp_path / "job.yaml"
    source = f"{{prometheus: '{server.url}', retries: 0}}"
    file.write_text(f"name: part\nsource: {source}\nqueries: {{cpu: cpu}}\nentity: [instance]\n")
    return file


def fetch(file: Path) -> Result:
    return CliRunner().invoke(app, ["fetch", "-c", str(file), "-o", str(file.with_suffix(".parquet")), *SPAN])


def test_a_partial_answer_is_refused_and_nothing_is_written(file: Path) -> None:
    done = fetch(file)
    assert done.exit_code == 1
    assert "partial answer: receive series from store-2: rpc error" in str(done.exception)
    assert not file.with_suffix(".parquet").exists()


def test_a_partial_answer_that_the_job_accepts_is_written_and_told(file: Path) -> None:
    file.write_text(file.read_text().replace("retries: 0", "retries: 0, partial: accept"))
    done = fetch(file)
    assert done.exit_code == 0, done.output
    assert "partial answer, rows may be missing: receive series from store-2: rpc error" in done.output
    assert Windows.read_parquet(file.with_suffix(".parquet")).partial


def test_the_function_refuses_it_too(faulty: Start) -> None:
    url = faulty(Reply(body=orjson.dumps(PARTIAL))).url
    with pytest.raises(foreshock.ForeshockError, match="partial answer: receive series from store-2"):
        foreshock.fetch(
            prometheus=url, queries={"cpu": "cpu"}, start="2026-03-01T00:00:00Z", end="2026-03-01T00:05:00Z"
        )
