"""The rules of the one HTTP client, against servers that break them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from tests.servers import servers
from tests.servers.faulty import Faulty, Reply

from foreshock_models.errors import HttpError
from foreshock_pipelines.http_client import HttpClient, Response
from foreshock_pipelines.jobfile import HttpConfig

Start = Callable[..., Faulty]
HOPS = (301, 302, 303, 307, 308)


def client(**config: Any) -> HttpClient:
    return HttpClient(HttpConfig.model_validate(config))


def post(url: str, one: HttpClient | None = None, **keys: Any) -> Response:
    return (one or client()).request("POST", url, **{"body": b"text", **keys})


def endless(status: int) -> Callable[[BaseHTTPRequestHandler], None]:
    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"a" * 65536)
        except OSError:
            pass

    return act


def slow_headers(handler: BaseHTTPRequestHandler) -> None:
    try:
        for char in "HTTP/1.1 200 OK\r\nX-Long: " + "a" * 200:
            handler.wfile.write(char.encode())
            time.sleep(0.05)
    except OSError:
        pass


def slow_body(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(200):
            handler.wfile.write(b"a")
            time.sleep(0.05)
    except OSError:
        pass


# -- success ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_every_2xx_is_success(faulty: Start, status: int) -> None:
    assert post(faulty(Reply(status, b"")).url).status == status


@pytest.mark.parametrize("status", [300, 304, 400, 401, 404, 410, 500, 503])
def test_nothing_else_is_success(faulty: Start, status: int) -> None:
    with pytest.raises(HttpError, match=f"HTTP {status}: ") as caught:
        post(faulty(Reply(status, b'{"error":"no"}')).url)
    assert (caught.value.status, caught.value.retriable) == (status, status >= 500)


def test_an_error_tells_how_long_the_server_asks_to_wait(faulty: Start) -> None:
    with pytest.raises(HttpError) as caught:
        post(faulty(Reply(429, headers={"Retry-After": "7"})).url)
    assert caught.value.retry_after == 7


# -- redirects -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_that_keeps_the_method_is_followed_with_body_and_credentials(
    faulty: Start, status: int, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("mine")
    server = faulty(Reply(status, headers={"Location": "/moved?there=1"}), Reply(204, b""))
    post(f"{server.url}/old", client(bearer_token_file=tmp_path / "token"))
    assert server.paths == ["/old", "/moved?there=1"]
    assert server.methods == ["POST", "POST"]
    assert server.bodies == ["text", "text"]
    assert server.headers[1]["Authorization"] == "Bearer mine"


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_loses_the_body_is_an_error_that_names_its_target(faulty: Start, status: int) -> None:
    server = faulty(Reply(status, headers={"Location": "/moved"}), Reply(204, b""))
    with pytest.raises(HttpError, match=rf"HTTP {status}: a redirect to {server.url}/moved, which is not followed"):
        post(server.url)
    assert len(server.methods) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_query_is_sent_again_with_the_same_parameters(faulty: Start, status: int) -> None:
    server = faulty(Reply(status, headers={"Location": "/moved?dedup=true"}), Reply())
    post(f"{server.url}/old", params={"dedup": "true"}, body={"query": "up", "step": "60"}, read_only=True)
    assert server.paths == ["/old?dedup=true", "/moved?dedup=true"]
    assert server.methods == ["POST", "POST"]
    assert server.bodies == ["query=up&step=60"] * 2


def test_a_query_that_is_told_to_see_other_is_a_get_with_the_same_parameters(faulty: Start) -> None:
    server = faulty(Reply(303, headers={"Location": "/moved"}), Reply())
    post(server.url, params={"dedup": "true"}, body={"query": "up"}, read_only=True)
    assert server.methods == ["POST", "GET"]
    assert server.paths[1] == "/moved?dedup=true&query=up"


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("status", HOPS)
def test_no_redirect_leads_to_another_host(faulty: Start, status: int, read_only: bool) -> None:
    other = faulty()
    target = other.url.replace("127.0.0.1", "localhost")
    server = faulty(Reply(status, headers={"Location": f"{target}/there?key=hidden"}))
    with pytest.raises(HttpError, match=f"a redirect to {target}/there, which is not followed: it leads") as caught:
        post(server.url, read_only=read_only)
    assert other.methods == []
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("location", ["http:///nowhere", "ftp://127.0.0.1/", "file:///etc/passwd", "http://[::1"])
def test_a_redirect_to_what_is_no_address_is_an_error(faulty: Start, location: str) -> None:
    with pytest.raises(HttpError):
        post(faulty(Reply(307, headers={"Location": location})).url)


def test_credentials_do_not_go_to_another_port(faulty: Start, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("mine")
    other = faulty(Reply(401, b"who are you"))
    server = faulty(Reply(307, headers={"Location": f"{other.url}/there"}))
    one = client(bearer_token_file=tmp_path / "token", headers={"X-Api-Key": "mine"})
    with pytest.raises(HttpError, match=f"who are you .after a redirect to {other.url}/there, where credentials"):
        post(server.url.replace("//", "//user:mine@"), one)
    assert not {"Authorization", "X-Api-Key"} & set(other.headers[0])


def test_a_circle_of_redirects_ends(faulty: Start) -> None:
    server = faulty(Reply(307, headers={"Location": "/again"}))
    with pytest.raises(HttpError, match="6th in a row"):
        post(server.url)
    assert len(server.methods) == 6


# -- limits ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("act", [slow_headers, slow_body])
def test_an_answer_that_drips_ends_at_the_limit(faulty: Start, act: Any) -> None:
    began = time.monotonic()
    with pytest.raises(HttpError, match=r"timed out|too long") as caught:
        post(faulty(Reply(act=act)).url, timeout=0.5)
    assert caught.value.retriable
    assert time.monotonic() - began < 2


def test_an_answer_without_end_is_cut_at_its_limit(faulty: Start) -> None:
    with pytest.raises(HttpError, match="larger than 100000 bytes"):
        post(faulty(Reply(act=endless(200))).url, limit=100_000)


@pytest.mark.parametrize("act", [slow_body, endless(200)])
def test_where_the_status_alone_counts_no_body_spoils_a_success(faulty: Start, act: Any) -> None:
    assert post(faulty(Reply(act=act)).url, timeout=0.5, status_only=True).status == 200
    with pytest.raises(HttpError, match="HTTP 500"):
        post(faulty(Reply(act=endless(500))).url, status_only=True)


def test_an_error_page_without_end_is_shown_in_short(faulty: Start) -> None:
    with pytest.raises(HttpError, match="HTTP 500: aaa") as caught:
        post(faulty(Reply(act=endless(500))).url)
    assert len(str(caught.value)) < 600


def test_who_stops_is_not_asked_for_again(faulty: Start) -> None:
    stop, server = threading.Event(), faulty()
    stop.set()
    with pytest.raises(HttpError, match="stopped"):
        HttpClient(HttpConfig(), stop=stop).request("GET", server.url)
    assert server.methods == []


# -- errors ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "url",
    [
        f"http://{'a' * 70}.example/", f"http://{'ä' * 70}.example/", "http://.example/", "http://ho st/",
        "http://[::1/", "http://127.0.0.1:99999/", "nowhere", "ftp://127.0.0.1/", "http://", "http://xn--a/",
        "http://*.example/", "http://127.0.0.1:x/", "http://‎/", "http://⒈/",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_used_is_an_error_without_its_password(url: str) -> None:
    with pytest.raises(HttpError) as caught:
        post(url.replace("//", "//someone:hunter2@"))
    assert "hunter2" not in str(caught.value)


def test_a_server_that_is_down_is_told_in_few_words() -> None:
    with pytest.raises(HttpError, match=r"^Connection refused$") as caught:
        post(f"http://127.0.0.1:{servers.free_port()}/secret-path")
    assert caught.value.retriable


@pytest.mark.parametrize(
    "answer",
    [b"", b"\r\n\r\n",
     b"garbage\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"HTTP/1.1 200 OK\r\n" + b"a" * 70_000,
     b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"],
)  # fmt: skip
def test_what_is_not_http_is_an_error_of_one_line(faulty: Start, answer: bytes) -> None:
    def act(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(answer)
        handler.close_connection = True
        handler.connection.close()

    with pytest.raises(HttpError) as caught:
        post(faulty(Reply(act=act)).url, timeout=2)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("body", "content_type", "want"),
    [
        (b'{"status":"error","error":"no such query"}', "application/json", "no such query"),
        (b'{"title":"Bad Request","detail":"a is missing"}', "application/problem+json", "a is missing"),
        ("café".encode("latin-1"), "text/plain; charset=iso-8859-1", "café"),
        ("café".encode(), "text/plain", "café"),
        (b"\xff\xfe", "text/plain; charset=no-such", "��"),
        (b"one\n  two\x1b[31m", "text/plain", "one two [31m"),
        (b"", "text/plain", "no message"),
    ],
)
def test_what_the_server_says_is_one_printable_line(
    faulty: Start, body: bytes, content_type: str, want: str
) -> None:
    with pytest.raises(HttpError) as caught:
        post(faulty(Reply(400, body, {"Content-Type": content_type})).url)
    assert str(caught.value) == f"HTTP 400: {want}"
    assert caught.value.server_message == want


def test_a_secret_path_is_not_shown(faulty: Start) -> None:
    server = faulty(Reply(302, headers={"Location": "/services/T0/secret"}))
    with pytest.raises(HttpError, match=rf"a redirect to {server.url},") as caught:
        HttpClient(HttpConfig(), path_is_secret=True).request("POST", f"{server.url}/services/secret")
    assert "secret" not in str(caught.value)
