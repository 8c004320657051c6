from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from tests.fixtures.prometheus import EMPTY, Faulty, Reply
from tests.servers import servers

from foreshock_models.errors import QueryError, QueryTooLarge, SourceUnavailable
from foreshock_pipelines.jobfile import SourceConfig
from foreshock_pipelines.prometheus.client import PrometheusClient

Start = Callable[..., Faulty]
PARTIAL = EMPTY[:-1] + b',"warnings":["store-2: rpc error"]}'


def client(url: str, **keys: Any) -> PrometheusClient:
    return PrometheusClient(SourceConfig.model_validate({"prometheus": url, **keys}))


def ask(one: PrometheusClient) -> bytes:
    return one.query_range("up", 0, 60_000, 60.0).body


def cut(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(EMPTY)))
    handler.end_headers()
    handler.wfile.write(EMPTY[:20])


def cut_without_length(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(EMPTY[:20])


def silent(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(2)


def drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(40):
        handler.wfile.write(b"{")
        time.sleep(0.05)


# -- retries ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(faulty: Start, status: int) -> None:
    server = faulty(Reply(status), Reply())
    assert ask(client(server.url)) == EMPTY
    assert len(server.methods) == 2


@pytest.mark.parametrize("act", [cut, cut_without_length])
def test_a_response_that_was_cut_is_asked_for_again(faulty: Start, act: Any) -> None:
    server = faulty(Reply(act=act), Reply())
    assert ask(client(server.url)) == EMPTY


@pytest.mark.parametrize("act", [cut, cut_without_length])
def test_a_response_that_is_always_cut_is_an_error_that_says_so(faulty: Start, act: Any) -> None:
    server = faulty(Reply(act=act))
    with pytest.raises(SourceUnavailable, match=rf"{server.url}: no answer after 2 tries: the response was cut"):
        ask(client(server.url, retries=1))


def test_the_error_after_all_tries_names_url_and_cause(faulty: Start) -> None:
    server = faulty(Reply(503, b'{"status":"error","errorType":"unavailable","error":"starting up"}'))
    with pytest.raises(SourceUnavailable, match=rf"{server.url}: no answer after 3 tries: HTTP 503: starting up"):
        ask(client(server.url, retries=2))
    assert len(server.methods) == 3


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(faulty: Start, form: str) -> None:
    later = datetime.now(UTC) + timedelta(seconds=2)  # a date has no fractions: between 1 and 2 seconds
    server = faulty(
        Reply(429, headers={"Retry-After": "1" if form == "seconds" else format_datetime(later)}), Reply()
    )
    began = time.monotonic()
    ask(client(server.url))
    assert 0.9 < time.monotonic() - began < 3


def test_the_deadline_ends_the_retries(faulty: Start) -> None:
    server = faulty(Reply(503, headers={"Retry-After": "60"}))
    began = time.monotonic()
    with pytest.raises(SourceUnavailable, match="no answer before the deadline: HTTP 503"):
        ask(client(server.url, deadline="2s"))
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("act", [silent, drip], ids=["silent", "drip"])
def test_a_server_that_is_too_slow_is_given_up(faulty: Start, act: Any) -> None:
    server = faulty(Reply(act=act))
    began = time.monotonic()
    with pytest.raises(SourceUnavailable, match=rf"{server.url}: .*(timed out|too long)"):
        ask(client(server.url, timeout="200ms", retries=0))
    assert time.monotonic() - began < 1


def test_who_stops_does_not_wait_for_the_next_try(faulty: Start) -> None:
    server = faulty(Reply(503, headers={"Retry-After": "30"}))
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    config = SourceConfig(prometheus=server.url)
    began = time.monotonic()
    with pytest.raises(SourceUnavailable, match="stopped"):
        ask(PrometheusClient(config, stop=stop))
    assert time.monotonic() - began < 2


def test_a_server_that_is_down_is_named() -> None:
    url = f"http://127.0.0.1:{servers.free_port()}"
    with pytest.raises(SourceUnavailable, match=rf"{url}: no answer after 1 try: .*Connection refused"):
        ask(client(url, retries=0))


# -- requests --------------------------------------------------------------------------------------------
def test_a_query_of_any_length_goes_in_the_body(faulty: Start) -> None:
    server = faulty()
    query = "up or " * 5000 + "up"
    client(server.url).query_range(query, 1_700_000_000_000, 1_700_000_060_000, 60.0)
    assert server.methods == ["POST"]
    assert server.forms[0] == {
        "query": [query], "start": ["1700000000.000"], "end": ["1700000060.000"], "step": ["60.0"],
    }  # fmt: skip


@pytest.mark.parametrize("status", [403, 405])
def test_a_gateway_that_refuses_a_post_gets_a_get(faulty: Start, status: int) -> None:
    server = faulty(Reply(status), Reply())
    assert ask(client(server.url, retries=0)) == EMPTY
    assert server.methods == ["POST", "GET"]
    assert server.forms[1]["query"] == ["up"]


@pytest.mark.parametrize(("compression", "encoding"), [(False, "identity"), (True, "gzip")])
def test_compression_is_asked_for_only_if_told_to(faulty: Start, compression: bool, encoding: str) -> None:
    server = faulty()
    ask(client(server.url, compression=compression))
    assert server.headers[0]["Accept-Encoding"] == encoding


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_parameters_of_the_url_go_with_each_request(faulty: Start, method: str) -> None:
    server = faulty(Reply(), Reply()) if method == "POST" else faulty(Reply(405), Reply())
    one = client(f"{server.url}/select/0/?dedup=true&extra_label=a%26b&extra_label=c", retries=0)
    ask(one)
    path, _, parameters = server.paths[-1].partition("?")
    assert path == "/select/0/api/v1/query_range"
    assert parameters.startswith("dedup=true&extra_label=a%26b&extra_label=c")
    assert server.methods[-1] == method
    assert one.shown == f"{server.url}/select/0"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_query_follows_a_redirect_with_the_same_parameters(faulty: Start, status: int) -> None:
    server = faulty(Reply(status, b"", {"Location": "/prometheus/api/v1/query_range"}), Reply())
    assert ask(client(f"{server.url}?dedup=true", retries=0)) == EMPTY
    assert server.paths[1].startswith("/prometheus/api/v1/query_range?dedup=true")
    sent = {**parse_qs(server.paths[1].partition("?")[2]), **server.forms[1]}
    assert (sent["query"], sent["step"]) == (["up"], ["60.0"])


def test_a_redirect_to_a_login_page_is_named(faulty: Start) -> None:
    server = faulty(Reply(302, b"", {"Location": "https://login.example/start?rd=x"}))
    with pytest.raises(
        SourceUnavailable, match=r"HTTP 302: a redirect to https://login.example/start, which is not"
    ):
        ask(client(server.url, retries=5))
    assert len(server.methods) == 1


def test_the_library_that_asks_rarely_keeps_to_the_same_rules(faulty: Start, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("mine")
    server = faulty(Reply(body=b'{"status":"success","data":["up"]}'))
    one = client(server.url, bearer_token_file=tmp_path / "token")
    assert one.connect.all_metrics() == ["up"]
    assert server.headers[0]["Authorization"] == "Bearer mine"


# -- errors with status 200 --------------------------------------------------------------------------------
def test_an_error_with_status_200_keeps_its_text(faulty: Start) -> None:
    server = faulty(Reply(body=b'{"status":"error","errorType":"execution","error":"many-to-many matching"}'))
    with pytest.raises(QueryError, match=r"HTTP 200 with an error: execution: many-to-many matching"):
        ask(client(server.url))
    assert len(server.methods) == 1


def test_an_error_with_status_200_that_may_pass_is_tried_again(faulty: Start) -> None:
    server = faulty(Reply(body=b'{"status":"error","errorType":"timeout","error":"too slow"}'), Reply())
    assert ask(client(server.url)) == EMPTY


@pytest.mark.parametrize("status", [200, 400, 413, 422])
def test_what_is_too_much_for_a_server_is_not_asked_for_again_as_it_is(faulty: Start, status: int) -> None:
    said = b'{"status":"error","errorType":"execution","error":"the query time range exceeds the limit"}'
    server = faulty(Reply(status, said))
    with pytest.raises(QueryTooLarge, match="the query time range exceeds the limit"):
        ask(client(server.url))
    assert len(server.methods) == 1


# -- partial answers ---------------------------------------------------------------------------------------
def test_a_partial_answer_is_asked_for_again(faulty: Start) -> None:
    answer = client(faulty(Reply(body=PARTIAL), Reply()).url).query_range("up", 0, 60_000, 60.0)
    assert (answer.body, answer.partial) == (EMPTY, ())


def test_an_answer_that_stays_partial_is_taken_with_its_reason(faulty: Start) -> None:
    server = faulty(Reply(body=PARTIAL))
    answer = client(server.url, retries=9).query_range("up", 0, 60_000, 60.0)
    assert answer.partial == ("store-2: rpc error",)
    assert len(server.methods) == 3


def test_a_partial_answer_is_taken_when_the_next_try_fails(faulty: Start) -> None:
    server = faulty(Reply(body=PARTIAL), Reply(503))
    assert client(server.url, retries=1).query_range("up", 0, 60_000, 60.0).partial == ("store-2: rpc error",)


def test_a_partial_answer_may_be_refused(faulty: Start) -> None:
    server = faulty(Reply(body=PARTIAL))
    with pytest.raises(SourceUnavailable, match=r"partial answer: store-2: rpc error; .*refused.*partial: accept"):
        ask(client(server.url, retries=0, partial="refuse"))


# -- being let in ----------------------------------------------------------------------------------------
def test_a_bearer_token_is_read_anew_at_each_use(faulty: Start, tmp_path: Path) -> None:
    server, token = faulty(), tmp_path / "token"
    one = client(server.url, bearer_token_file=token)
    for word in ("first", "second"):
        token.write_text(f"{word}\n")
        ask(one)
    assert [seen["Authorization"] for seen in server.headers] == ["Bearer first", "Bearer second"]


def test_a_netrc_does_not_replace_the_token(faulty: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = faulty()
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    (tmp_path / "token").write_text("mine")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    ask(client(server.url, bearer_token_file=tmp_path / "token"))
    assert server.headers[0]["Authorization"] == "Bearer mine"


def test_headers_are_sent(faulty: Start) -> None:
    server = faulty()
    ask(client(server.url, headers={"X-Scope-OrgID": "team-a"}))
    assert server.headers[0]["X-Scope-OrgID"] == "team-a"


def test_credentials_of_the_url_are_used_and_never_shown(faulty: Start) -> None:
    server = faulty(Reply(503))
    secret = server.url.replace("//", "//someone:hunter2@")
    with pytest.raises(SourceUnavailable) as caught:
        ask(client(secret, retries=0))
    assert server.headers[0]["Authorization"] == "Basic c29tZW9uZTpodW50ZXIy"
    assert server.url in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_token_that_cannot_be_read_is_named(faulty: Start, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"token: cannot read the secret: No such file"):
        ask(client(faulty().url, bearer_token_file=tmp_path / "token"))


def test_a_token_that_cannot_be_sent_is_not_shown(faulty: Start, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hun\nter2")
    with pytest.raises(SourceUnavailable, match="one line of ASCII") as caught:
        ask(client(faulty().url, bearer_token_file=tmp_path / "token"))
    assert "ter2" not in str(caught.value)
