"""Credentials of a config, as they arrive at a server."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.servers.faulty import Faulty

from foreshock_models.errors import HttpError
from foreshock_pipelines.http_client import HttpClient
from foreshock_pipelines.jobfile import HttpConfig

Start = Callable[..., Faulty]


def sent(server: Faulty, url: str | None = None, **config: Any) -> str | None:
    """``Authorization`` of one request."""
    HttpClient(HttpConfig.model_validate(config)).request("GET", url or server.url)
    return server.headers[-1].get("Authorization")


def login(header: str | None) -> str:
    assert header is not None and header.startswith("Basic ")
    return b64decode(header.removeprefix("Basic ")).decode()


def test_a_password_may_hold_any_text(faulty: Start, tmp_path: Path) -> None:
    server = faulty()
    (tmp_path / "password").write_text("päss:漢字\n", encoding="utf-8")
    for basic in ({"password": "päss:漢字"}, {"password_file": tmp_path / "password"}):
        assert login(sent(server, basic_auth={"username": "üser", **basic})) == "üser:päss:漢字"


def test_user_and_password_of_the_url_are_used(faulty: Start) -> None:
    server = faulty()
    assert login(sent(server, server.url.replace("//", "//us%40er:%E6%BC%A2@"))) == "us@er:漢"


def test_the_config_goes_before_the_url(faulty: Start, tmp_path: Path) -> None:
    server = faulty()
    (tmp_path / "token").write_text("mine")
    url = server.url.replace("//", "//user:password@")
    assert sent(server, url, bearer_token_file=tmp_path / "token") == "Bearer mine"


@pytest.mark.parametrize("way", ["bearer_token_file", "authorization"])
def test_a_token_is_read_anew_at_each_request(faulty: Start, tmp_path: Path, way: str) -> None:
    server, path = faulty(), tmp_path / "token"
    config = {way: path if way == "bearer_token_file" else {"credentials_file": path}}
    client = HttpClient(HttpConfig.model_validate(config))
    for word in ("first", "second"):
        path.write_text(f"{word}\n")
        client.request("GET", server.url)
        assert server.headers[-1]["Authorization"] == f"Bearer {word}"


def test_authorization_may_have_another_type(faulty: Start) -> None:
    assert sent(faulty(), authorization={"type": "Token", "credentials": "abc"}) == "Token abc"


@pytest.mark.parametrize("form", ["machine 127.0.0.1", "default"])
def test_a_netrc_is_not_read(faulty: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    (tmp_path / "netrc").write_text(f"{form} login someone password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "token").write_text("mine")
    assert sent(faulty()) is None
    assert sent(faulty(), bearer_token_file=tmp_path / "token") == "Bearer mine"
    assert login(sent(faulty(), basic_auth={"username": "a", "password": "b"})) == "a:b"


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file"), (b"\xff\xfe", "not UTF-8"), (b" \n", "empty"), (b"a" * 70_000, "larger than")],
)
def test_a_secret_that_cannot_be_read_is_named(
    faulty: Start, tmp_path: Path, content: bytes | None, why: str
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(HttpError, match=rf"token: cannot read the secret: .*{why}"):
        sent(faulty(), bearer_token_file=tmp_path / "token")


def test_a_token_that_cannot_be_sent_is_not_shown(faulty: Start, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hun\nter2")
    with pytest.raises(HttpError, match="one line of ASCII") as caught:
        sent(faulty(), bearer_token_file=tmp_path / "token")
    assert "ter2" not in str(caught.value)


def test_no_cookie_is_kept(faulty: Start) -> None:
    from tests.servers.faulty import Reply

    server = faulty(Reply(headers={"Set-Cookie": "session=1; Path=/"}))
    client = HttpClient(HttpConfig())
    client.request("GET", server.url)
    client.request("GET", server.url)
    assert "Cookie" not in server.headers[1]
