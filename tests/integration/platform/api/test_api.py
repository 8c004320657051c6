"""The HTTP API, as it is served."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pyarrow as pa
import pytest

from foreshock.api.app import FEW_ROWS
from foreshock.api.routes import api as application
from foreshock.identity.permissions import ROLES
from foreshock.settings import Settings, load_settings
from foreshock_pipelines.registry import Registry

pytestmark = [pytest.mark.ray, pytest.mark.slow]
TOKEN = "a-token-for-the-tests"
MAX_BODY = 16 * 2**20
ARROW = {"content-type": "application/vnd.apache.arrow.stream"}


@pytest.fixture(scope="module")
def api(ray_cluster: None, trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client, with token, of an application that serves the small job."""
    from ray import serve

    from foreshock.api.app import serve_application

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    settings: Settings = load_settings(
        home=tmp_path_factory.mktemp("home"), registry_uri=str(trained.registry), api_token=TOKEN, port=port,
        max_body=MAX_BODY, limit_person="1000000 per minute",
    )  # fmt: skip
    token, new = serve_application(settings, {"small": trained.job}, {"small": trained.file})
    assert (token, new) == (TOKEN, False)
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60
    ) as client:
        yield client
    serve.delete("foreshock", _blocking=False)


@pytest.fixture(scope="module")
def window(trained: Any) -> dict[str, Any]:
    """The rows around the first incident, as JSON."""
    from datetime import timedelta

    incident = min(trained.incidents, key=lambda i: i.start)
    part = trained.windows.select([incident.entity]).between(
        incident.start - timedelta(hours=2), incident.start + timedelta(minutes=15)
    )
    return {
        "entity": incident.entity,
        "timestamps": part.to_panel().timestamps.tolist(),
        "values": {name: part.table.column(name).to_pylist() for name in part.features},
    }


def problem(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    return str(body["detail"])


def test_an_incident_scores_over_the_line(api: httpx.Client, window: dict[str, Any]) -> None:
    body = api.post("/ai/score", json={"job": "small", "windows": [window]}).raise_for_status().json()
    (scored,) = body["windows"]
    assert scored["entity"] == window["entity"]
    assert max(scored["score"][-15:]) >= 1
    assert max(scored["score"][-15:]) > max(scored["score"][60:110])
    assert scored["anomaly"][-1] == (scored["score"][-1] >= 1)


def test_arrow_and_json_give_the_same_scores(api: httpx.Client, trained: Any, window: dict[str, Any]) -> None:
    part = trained.windows.select([window["entity"]])
    part = part.between(window["timestamps"][0], window["timestamps"][-1])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, part.table.schema) as writer:
        writer.write_table(part.table)
    response = api.post(
        "/ai/score?job=small", content=sink.getvalue().to_pybytes(),
        headers={"content-type": "application/vnd.apache.arrow.stream"},
    ).raise_for_status()  # fmt: skip
    table = pa.ipc.open_stream(response.content).read_all()
    body = api.post("/ai/score", json={"job": "small", "windows": [window]}).json()
    assert table.column("score").to_pylist() == pytest.approx(body["windows"][0]["score"], abs=1e-4)


def test_the_last_rows_are_scored_alone(api: httpx.Client, window: dict[str, Any]) -> None:
    """With what training left, as if the rows before them had not been scored."""
    body = {"job": "small", "windows": [window], "last": 2}
    (scored,) = api.post("/ai/score", json=body).raise_for_status().json()["windows"]
    assert scored["timestamps"] == window["timestamps"][-2:]
    assert len(scored["score"]) == len(scored["anomaly"]) == 2


@pytest.mark.parametrize("last", [1, None])
def test_a_window_scores_the_same_whoever_asks_beside_it_and_wherever_it_is_scored(
    api: httpx.Client, window: dict[str, Any], last: int | None
) -> None:
    """Alone, at the same time as others, and among so many rows that another process takes them."""
    body = {"job": "small", "windows": [window], "last": last}
    alone = api.post("/ai/score", json=body).raise_for_status().json()["windows"]
    with ThreadPoolExecutor(8) as pool:
        others = {**body, "windows": [{**window, "entity": "new"}]}
        asked = [pool.submit(api.post, "/ai/score", json=b) for b in [body, others] * 8]
    assert all(one.result().json()["windows"] == alone for one in asked[::2])
    many = [{**window, "entity": f"new-{i}"} for i in range(FEW_ROWS // len(window["timestamps"]) + 1)]
    answer = api.post("/ai/score", json={**body, "windows": [*many, window]}).raise_for_status().json()
    assert answer["windows"][-1:] == alone


def test_each_window_keeps_its_own_times(api: httpx.Client, trained: Any) -> None:
    values = {f: [0.5, 0.6] for f in trained.windows.features}
    windows = [
        {"entity": "host-01", "timestamps": [60, 180], "values": values},
        {"entity": "host-02", "timestamps": [86400, 86460], "values": values},
    ]
    answer = api.post("/ai/score", json={"job": "small", "windows": windows}).raise_for_status().json()
    assert [w["timestamps"] for w in answer["windows"]] == [[60_000, 120_000, 180_000], [86_400_000, 86_460_000]]


def test_an_explanation_names_the_cause_and_adds_up(
    api: httpx.Client, trained: Any, window: dict[str, Any]
) -> None:
    body = api.post("/ai/explain", json={"job": "small", "window": window}).raise_for_status().json()
    incident = min(trained.incidents, key=lambda i: i.start)
    assert body["causes"][0]["feature"] in incident.causes
    assert body["base"] + sum(body["attributions"].values()) == pytest.approx(body["raw"], abs=1e-6)


def test_lime_names_the_cause_too_and_another_method_is_refused(
    api: httpx.Client, trained: Any, window: dict[str, Any]
) -> None:
    asked = {"job": "small", "window": window, "method": "lime"}
    body = api.post("/ai/explain", json=asked).raise_for_status().json()
    incident = min(trained.incidents, key=lambda i: i.start)
    assert body["method"] == "lime" and body["causes"][0]["feature"] in incident.causes
    said = problem(api.post("/ai/explain", json={**asked, "method": "anchors"}), 422)
    assert "'shap' or 'lime'" in said


def test_models_say_what_they_were_trained_on(api: httpx.Client, trained: Any) -> None:
    (model,) = api.get("/ai/models").raise_for_status().json()
    assert (model["job"], model["detectors"]) == ("small", ["iforest"])
    assert model["features"] == list(trained.windows.features)


@pytest.mark.parametrize("path", ["/ai/models", "/ai/anomalies", "/metrics", "/ai/runs/x"])
def test_everything_but_health_and_docs_needs_the_token(api: httpx.Client, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        response = httpx.get(f"{api.base_url}{path}", headers=headers)
        assert "Authorization: Bearer" in problem(response, 401)
        assert "WWW-Authenticate" in response.headers


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json"])
def test_health_and_docs_need_no_token(api: httpx.Client, path: str) -> None:
    assert httpx.get(f"{api.base_url}{path}").status_code == 200


def test_the_docs_can_be_tried_with_a_token_and_show_examples(api: httpx.Client) -> None:
    document = api.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}
    assert document["security"] == [{"token": []}]
    for reference in set(re.findall(r'"\$ref":\s*"#/components/schemas/([^"]+)"', json.dumps(document))):
        assert reference in document["components"]["schemas"]
    for path in ("/ai/score", "/ai/explain", "/ai/train"):
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert body["schema"].get("examples") or body.get("examples"), path


def test_an_unknown_job_is_404_with_the_nearest_name(api: httpx.Client, window: dict[str, Any]) -> None:
    assert "did you mean 'small'" in problem(api.post("/ai/score", json={"job": "smal", "windows": [window]}), 404)
    assert "did you mean 'small'" in problem(api.post("/ai/train", json={"job": "smal"}), 404)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown feature": ({"values": {"cpus": [1.0]}}, "did you mean 'cpu'"),
    "a missing feature": ({"values": {"cpu": [1.0]}}, "'memory' is missing"),
    "times out of order": ({"timestamps": [120, 60]}, "not increasing at number 1"),
    "more values than times": ({"timestamps": [60]}, "2 values for 1 timestamps"),
    "text among numbers": ({"values": {"cpu": ["0.3"]}}, "valid number"),
    "an unknown label": ({"entity": {"host": "a"}}, "unknown label 'host'"),
    "an unknown key": ({"entities": "a"}, "Extra inputs are not permitted"),
    "no rows": ({"timestamps": []}, "at least 1 item"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_window_is_422_and_says_what_was_wrong(api: httpx.Client, trained: Any, name: str) -> None:
    changes, text = BAD[name]
    good = {
        "entity": "host-01",
        "timestamps": [60, 120],
        "values": {f: [0.5, 0.6] for f in trained.windows.features},
    }
    detail = problem(api.post("/ai/score", json={"job": "small", "windows": [{**good, **changes}]}), 422)
    assert text in detail


def test_nan_is_refused_and_null_is_a_gap(api: httpx.Client, trained: Any) -> None:
    values = {f: [0.5, None] for f in trained.windows.features}
    good = {"job": "small", "windows": [{"entity": "host-01", "timestamps": [60, 120], "values": values}]}
    assert api.post("/ai/score", json=good).status_code == 200
    bad = '{"job": "small", "windows": [{"timestamps": [60], "values": {"cpu": [NaN]}}]}'
    response = api.post("/ai/score", content=bad, headers={"content-type": "application/json"})
    assert "write null for a gap" in problem(response, 422)


def test_a_wrong_content_type_is_415(api: httpx.Client) -> None:
    assert "application/json" in problem(api.post("/ai/score", data={"a": "b"}), 415)


def test_a_body_over_the_limit_is_413(api: httpx.Client) -> None:
    content = b'{"job": "' + b"x" * 2 * MAX_BODY
    response = api.post("/ai/score", content=content, headers={"content-type": "application/json"})
    assert f"{MAX_BODY} bytes" in problem(response, 413)


def arrow(trained: Any, rows: int, *, step: int = 60_000, **changed: Any) -> bytes:
    """A stream of one entity, with another column here and there."""
    columns: dict[str, Any] = {
        "timestamp": pa.array(range(0, rows * step, step)).cast(pa.timestamp("ms", "UTC")),
        "instance": pa.array(["host-01"] * rows),
    }
    columns |= {name: pa.array([0.5] * rows) for name in trained.windows.features}
    table = pa.table(columns | changed)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def replicas() -> set[int]:
    """Those of this test run: another installation on this machine has its own."""
    mine = psutil.Process().children(recursive=True)
    return {p.pid for p in mine if " ".join(p.cmdline()).startswith("ray::ServeReplica:foreshock")}


def test_arrow_bodies_that_are_wrong_are_422_and_bring_down_nobody(api: httpx.Client, trained: Any) -> None:
    before = replicas()
    assert len(before) == 3
    good = arrow(trained, 3, instance=pa.array(["aXqZ1", "bXqZ2", "cXqZ3"]))
    offsets = bytes(pa.array([0, 5, 10, 15], pa.int32()).buffers()[1])[:16]
    lie = bytes(pa.array([0, 5, 10, 2**31 - 1], pa.int32()).buffers()[1])[:16]
    assert offsets in good
    for data in (
        b"not arrow",
        good.replace(offsets, lie),
        arrow(trained, 2, step=2**40),
        arrow(trained, 2, timestamp=pa.array([0, None], pa.timestamp("ms"))),
        arrow(trained, 2, timestamp=pa.array([1.0, 2.0])),
        arrow(trained, 2, instance=pa.array([{"a": 1}] * 2)),
        arrow(trained, 2, cpu=pa.array([[1.0]] * 2)),
    ):
        problem(api.post("/ai/score?job=small&last=1", content=data, headers=ARROW), 422)
    assert api.post("/ai/score?job=small&last=99999999999999999999", content=good, headers=ARROW).is_success
    assert replicas() == before


def test_bodies_and_answers_over_four_mebibytes_are_as_others(api: httpx.Client, trained: Any) -> None:
    """More than gRPC sends by default, from one replica to another and back."""
    rows = 180_000
    data = arrow(trained, rows)
    assert 4 * 2**20 < len(data) < MAX_BODY
    response = api.post("/ai/score?job=small", content=data, headers=ARROW).raise_for_status()
    assert pa.ipc.open_stream(response.content).read_all().num_rows == rows
    window = {
        "entity": "host-01",
        "timestamps": list(range(0, rows * 60, 60)),
        "values": {f: [0.5123] * rows for f in trained.windows.features},
    }
    response = api.post("/ai/score", json={"job": "small", "windows": [window]}).raise_for_status()
    assert len(response.request.content) > 4 * 2**20 < len(response.content)
    assert len(response.json()["windows"][0]["score"]) == rows
    short = {**window, "values": window["values"] | {"cpu": [[]]}}
    problem(api.post("/ai/score", json={"job": "small", "windows": [short]}), 422)
    problem(api.post("/ai/score", json={"job": "nope", "windows": [window]}), 404)
    assert api.post("/ai/explain", json={"job": "small", "window": window}).raise_for_status().json()["causes"]


@contextmanager
def unfinished(api: httpx.Client, count: int, *, token: str = TOKEN) -> Iterator[None]:
    """Connections that begin a request and go no further: in its headers, before its body, and within it."""
    head = f"POST /ai/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    rest = "Content-Type: application/json\r\nContent-Length: 5000000\r\n\r\n"
    begun = [head, head + rest, head + rest + '{"job": "sm', head + rest + "x" * 100_000]
    opened = []
    try:
        for i in range(count):
            opened.append(socket.create_connection((api.base_url.host, api.base_url.port)))
            opened[-1].sendall(begun[i % len(begun)].encode())
        yield
    finally:
        for one in opened:
            one.close()


@pytest.mark.parametrize("token", [TOKEN, "wrong"])
def test_requests_that_are_never_finished_hold_up_nobody(
    api: httpx.Client, window: dict[str, Any], token: str
) -> None:
    with unfinished(api, 400, token=token):
        for _ in range(5):
            began = time.monotonic()
            with httpx.Client(base_url=api.base_url, headers=api.headers, timeout=60) as fresh:
                assert fresh.get("/healthz").status_code == 200
                body = {"job": "small", "windows": [window], "last": 1}
                assert fresh.post("/ai/score", json=body).status_code == 200
            assert time.monotonic() - began < 5


def test_a_client_that_trickles_is_cut_off(api: httpx.Client) -> None:
    """However it spreads its headers or its body, with or without a token."""
    head = "POST /ai/explain HTTP/1.1\r\nHost: x\r\n"
    rest = "Content-Type: application/json\r\nContent-Length: 5000000\r\n\r\n"

    def seconds(begun: str, each: bytes) -> float:
        with socket.create_connection((api.base_url.host, api.base_url.port)) as one:
            began = time.monotonic()
            one.settimeout(1)
            one.sendall(begun.encode())
            with suppress(ConnectionError):
                while time.monotonic() - began < 60:
                    with suppress(TimeoutError):
                        while one.recv(4096):
                            pass
                        break
                    one.sendall(each)
            return time.monotonic() - began

    token = f"Authorization: Bearer {TOKEN}\r\n"
    with ThreadPoolExecutor(4) as pool:
        headers = pool.submit(seconds, head, b"X-More: x\r\n")
        unknown = pool.submit(seconds, head + rest, b" ")
        unread = pool.submit(seconds, head.replace("/ai/explain", "/ai/train/x") + token + rest, b" ")
        body = pool.submit(seconds, head + token + rest, b" ")
    assert headers.result() < 12
    assert max(unknown.result(), unread.result()) < 20
    assert body.result() < 30


def test_a_body_that_does_not_come_is_408(api: httpx.Client) -> None:
    def slow() -> Iterator[bytes]:
        yield b'{"job": '
        time.sleep(12)
        yield b'"small"}'

    with suppress(httpx.RemoteProtocolError, httpx.WriteError):  # the connection may be closed while it is sent
        problem(api.post("/ai/explain", content=slow(), headers={"content-type": "application/json"}), 408)


def test_an_unknown_alert_is_404(api: httpx.Client) -> None:
    problem(api.get("/ai/anomalies/nope"), 404)


@contextmanager
def clients(api: httpx.Client, windows: list[dict[str, Any]], *, count: int = 4) -> Iterator[set[str]]:
    """Clients that score without a pause, each request well answered; gives the versions that answered."""
    stop = threading.Event()
    versions: set[str] = set()
    answered = [0] * count

    def score(client: int) -> None:
        with httpx.Client(base_url=api.base_url, headers=api.headers, timeout=60) as own:
            while not stop.is_set():
                response = own.post("/ai/score", json={"job": "small", "windows": windows})
                assert response.status_code == 200, response.text
                versions.add(response.json()["version"])
                answered[client] += 1

    with ThreadPoolExecutor(count) as pool:
        running = [pool.submit(score, i) for i in range(count)]
        try:
            yield versions
            until(lambda: min(answered) > 1 or any(one.done() for one in running))
        finally:
            stop.set()
    for one in running:
        one.result()
    assert min(answered) > 1


def until(condition: Callable[[], Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def test_a_training_run_is_started_once_and_its_model_is_taken_up_without_a_failed_request(
    api: httpx.Client, window: dict[str, Any]
) -> None:
    before = api.get("/ai/models").json()[0]["version"]
    with clients(api, [window]) as versions:
        started = api.post("/ai/train", json={"job": "small"})
        assert started.status_code == 202
        problem(api.post("/ai/train", json={"job": "small"}), 409)

        def taken_up() -> set[str]:
            run = api.get(f"/ai/runs/{started.json()['run']}").json()
            assert run["state"] != "failed", run
            return versions - {before}

        until(taken_up)
    assert len(versions) == 2


def test_what_is_trained_is_what_the_job_file_says_now_and_a_broken_one_is_refused(
    api: httpx.Client, trained: Any
) -> None:
    def ended() -> Any:
        run = api.get(f"/ai/runs/{started.json()['run']}").json()
        return run if run["ended"] else None

    as_it_was = trained.file.read_text()
    try:
        trained.file.write_text(as_it_was.replace("n_trees: 15", "n_trees: 9"))
        started = api.post("/ai/train", json={"job": "small"})
        assert started.json()["refused"] is None
        until(ended)
        settings = Registry(trained.registry).get("small", ended()["result"]["version"]).manifest["settings"]
        assert settings == {"iforest": {"n_trees": 9}}
        trained.file.write_text(as_it_was.replace("detectors", "detectrs"))
        started = api.post("/ai/train", json={"job": "small"})
        assert "did you mean 'detectors'" in started.json()["refused"]
        until(ended)
        settings = Registry(trained.registry).get("small", ended()["result"]["version"]).manifest["settings"]
        assert settings == {"iforest": {"n_trees": 15}}
    finally:
        trained.file.write_text(as_it_was)


def test_what_serves_keeps_no_core_from_training(api: httpx.Client) -> None:
    import ray

    until(lambda: ray.available_resources()["CPU"] == ray.cluster_resources()["CPU"])


def test_a_scorer_killed_under_load_fails_no_request(api: httpx.Client, window: dict[str, Any]) -> None:
    def scorers() -> list[psutil.Process]:
        found = []
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.cmdline() and "ServeReplica:foreshock:Scorer" in process.cmdline()[0]:
                    found.append(process)
        return found

    many = [{**window, "entity": f"host-{i}"} for i in range(FEW_ROWS // len(window["timestamps"]) + 1)]
    with clients(api, many) as versions:
        until(lambda: versions)
        (victim,) = scorers()
        victim.kill()
        versions.clear()
        until(lambda: versions)


def test_a_generated_token_is_kept_in_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    from foreshock.api.authentication import api_token

    settings = load_settings(home=tmp_path)
    token, new = api_token(settings)
    assert new
    assert api_token(settings) == (token, False)
    assert (tmp_path / "api-token").stat().st_mode & 0o077 == 0


def test_people_sign_in_and_the_log_has_their_address_whatever_they_say_of_it(api: httpx.Client) -> None:
    made = api.post("/admin/users", json={"name": "anna", "role": "viewer"}).raise_for_status().json()
    login = {"name": "anna", "password": made["password"]}
    lie = {"X-Foreshock-Client": "6.6.6.6", "X-Forwarded-For": "6.6.6.6"}
    with httpx.Client(base_url=api.base_url, headers=lie) as nobody:
        assert nobody.post("/auth/login", json={**login, "password": "wrong"}).status_code == 401
        token = nobody.post("/auth/login", json=login).raise_for_status().json()["access_token"]
        nobody.headers["Authorization"] = f"Bearer {token}"
        new = {"old": made["password"], "new": "three green tortoises"}
        nobody.post("/auth/password", json=new).raise_for_status()
        assert nobody.get("/ai/models").status_code == 200
        assert nobody.get("/admin/users").status_code == 403
    entries = api.get("/admin/audit", params={"who": "anna"}).json()["entries"]
    assert [(e["act"], e["outcome"]) for e in reversed(entries)] == [
        ("auth:login", "refused"), ("auth:login", "done"), ("auth:password", "done"), ("auth:refuse", "refused"),
    ]  # fmt: skip
    assert {e["address"] for e in entries} == {"127.0.0.1"}


# last: random sign-ins use up what their address may fail
OPERATIONS = [
    f"{method.upper()} {path}"
    for path, operations in application().openapi()["paths"].items()
    for method in operations
    if path not in ("/ai/train", "/events/stream")  # would train again and again; has no end
]


@pytest.fixture(scope="module")
def schema(api: httpx.Client) -> Any:
    """The OpenAPI document as it is served."""
    import schemathesis

    @schemathesis.serializer("application/vnd.apache.arrow.stream")
    def as_it_is(ctx: Any, value: Any) -> Any:
        return value if isinstance(value, bytes) else str(value).encode()

    schema = schemathesis.openapi.from_dict(api.get("/openapi.json").json())
    schema.config.update(base_url=str(api.base_url))
    return schema


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_holds_against_random_requests(name: str, schema: Any) -> None:
    from hypothesis import HealthCheck, Phase, given, settings

    method, path = name.split(" ")

    @settings(
        max_examples=12, deadline=None, phases=[Phase.generate], database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=schema[path][method].as_strategy())
    def never_a_server_error(case: Any) -> None:
        response = case.call(headers={"Authorization": f"Bearer {TOKEN}"})
        assert response.status_code < 500, (case.path, response.text)
        if response.status_code >= 400:
            assert response.headers["content-type"][0] == "application/problem+json"

    never_a_server_error()


@pytest.fixture(scope="module")
def tokens(api: httpx.Client) -> dict[str, str]:
    """A token of a program for each role."""
    made = {
        role: api.post("/admin/tokens", json={"name": role, "scopes": [role]}).raise_for_status() for role in ROLES
    }
    return {role: answer.json()["token"] for role, answer in made.items()}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_gives_no_role_what_it_must_not_have(name: str, schema: Any, tokens: dict[str, str]) -> None:
    from hypothesis import HealthCheck, Phase, given, settings

    method, path = name.split(" ")
    operation = schema[path][method].definition.raw
    documented, needs = {int(status) for status in operation["responses"]}, operation.get("x-permission")

    @settings(
        max_examples=2, deadline=None, phases=[Phase.generate], database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=schema[path][method].as_strategy())
    def held_to_its_rights(case: Any) -> None:
        for role, token in tokens.items():
            response = case.call(headers={"Authorization": f"Bearer {token}"}, allow_redirects=False)
            said = (role, case.path, response.status_code, response.text)
            assert response.status_code in documented and response.status_code < 500, said
            if needs is not None and needs not in ROLES[role]:
                assert response.status_code >= 400, said

    held_to_its_rights()
