"""The API is closed unless a request carries the one token, whatever the environment and the files say."""

from __future__ import annotations

import asyncio
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from typer.testing import CliRunner

from foreshock.api.asgi import Api
from foreshock.api.authentication import api_token
from foreshock.api.authorization import OPEN_PATHS
from foreshock.cli.app import _load_commands, app
from foreshock.identity.tokens import token_digest
from foreshock.identity.verification import Verifier
from foreshock.settings import load_settings
from foreshock_models.errors import AccessError, ConfigError

TOKEN = "a-token-for-the-tests"


@pytest.fixture(autouse=True)
def no_token_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORESHOCK_API_TOKEN", raising=False)


@pytest.mark.parametrize(
    "value",
    ["", " ", "\t", "\n", "\r\n \n", "two words", "line\nbreak", "é", "t\u00a0", "nul\0", "\x7f", "x" * 5000],
)
def test_a_token_that_is_empty_or_cannot_be_sent_ends_the_start(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "\0" in value:  # no environment holds it
        settings = load_settings(home=tmp_path, api_token=value)
    else:
        monkeypatch.setenv("FORESHOCK_API_TOKEN", value)
        settings = load_settings(home=tmp_path)
    with pytest.raises(ConfigError, match="FORESHOCK_API_TOKEN: the API token"):
        api_token(settings)
    (tmp_path / "api-token").write_text(value)
    monkeypatch.delenv("FORESHOCK_API_TOKEN", raising=False)
    with pytest.raises(ConfigError, match=r"api-token: the API token .* remove the file"):
        api_token(load_settings(home=tmp_path))


def test_white_space_around_a_token_is_not_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESHOCK_API_TOKEN", f" {TOKEN}\n")
    assert api_token(load_settings(home=tmp_path)) == (TOKEN, False)
    monkeypatch.delenv("FORESHOCK_API_TOKEN")
    (tmp_path / "api-token").write_text(f"{TOKEN}\r\n")
    assert api_token(load_settings(home=tmp_path)) == (TOKEN, False)


def test_a_token_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "new")
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: api_token(settings), range(8)))
    assert len({token for token, _ in made}) == 1
    assert [new for _, new in made].count(True) == 1
    file = tmp_path / "new" / "api-token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["api-token"]
    file.chmod(0o644)
    assert api_token(settings) == (made[0][0], False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("what", ["a folder", "a link to nowhere", "a home that is a file"])
def test_a_token_file_that_cannot_be_read_ends_the_start(what: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    if what == "a home that is a file":
        home.write_text("")
    elif what == "a folder":
        (home / "api-token").mkdir(parents=True)
    else:
        home.mkdir()
        (home / "api-token").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="cannot be kept there"):
        api_token(load_settings(home=home))


@pytest.mark.parametrize("command", ["serve", "up", "demo"])
def test_a_wrong_token_is_told_before_anything_starts(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORESHOCK_HOME", str(tmp_path))
    monkeypatch.setenv("FORESHOCK_API_TOKEN", " ")
    _load_commands()
    result = CliRunner().invoke(app, [command, "-c", str(tmp_path / "none.yaml")][: 1 if command == "demo" else 3])
    assert isinstance(result.exception, ConfigError), result.output
    assert "FORESHOCK_API_TOKEN: the API token is empty" in str(result.exception)
    assert {path.name for path in tmp_path.iterdir()} <= {"models"}


def test_a_token_file_that_is_no_text_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "api-token").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be sent in a header"):
        api_token(load_settings(home=tmp_path))


WRONG = [
    None, "", "Bearer", "bearer", "Bearer ", "Bearer  ", "Bearer x", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x",
    f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN.upper()}", f"Bearer{TOKEN}", f"Bearer {TOKEN} x", f"Bearer é{TOKEN}",
]  # fmt: skip


@pytest.mark.parametrize("digest", [token_digest(TOKEN), token_digest("")])
@pytest.mark.parametrize("authorization", WRONG)
def test_a_header_without_the_whole_token_is_refused(authorization: str | None, digest: str) -> None:
    verifier = Verifier(digest)
    for _ in range(2):
        with pytest.raises(AccessError):
            verifier.verify(authorization)
        assert verifier.known(authorization) is None


def test_the_token_is_admitted_and_remembered_for_a_moment() -> None:
    verifier = Verifier(token_digest(TOKEN))
    for header in (f"Bearer {TOKEN}", f"bearer  {TOKEN} "):
        assert verifier.known(header) is None
        assert verifier.verify(header).kind == "installation"
        assert verifier.known(header) is not None


def test_open_paths_alone_answer_without_a_token() -> None:
    found = {
        path
        for path in (*OPEN_PATHS, "/ai/score", "/metrics", "/docs/", "/healthz/x", "//healthz")
        if asyncio.run(status(path)) != 401
    }
    assert found == OPEN_PATHS


async def status(path: str) -> int:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": [],
        "query_string": b"", "root_path": "", "server": ("localhost", 80), "scheme": "http",
    }  # fmt: skip
    await Api(lambda: Verifier(token_digest(TOKEN)))(scope, receive, send)
    return int(sent[0]["status"])


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("path", ["/ai/score", "/quick", "/nothing", "/docs/oauth2-redirect"])
def test_nothing_behind_the_guard_runs_without_the_token(kind: str, path: str) -> None:
    ran: list[str] = []
    api = Api(lambda: Verifier(token_digest(TOKEN)))

    async def endpoint(*_: Any) -> Any:
        ran.append(path)
        return b"{}", b"application/json"

    api.short["/quick"] = "scores:create", endpoint
    api.add_api_route("/ai/score", lambda: ran.append(path) or PlainTextResponse(""), methods=["POST"])
    sent: list[Any] = []

    async def ask(authorization: bytes | None) -> None:
        headers = [] if authorization is None else [(b"authorization", authorization)]
        scope = {
            "type": kind, "method": "POST", "path": path, "raw_path": path.encode(), "headers": headers,
            "query_string": b"", "root_path": "", "server": ("localhost", 80), "scheme": "http",
        }  # fmt: skip
        sent.clear()

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        await api(scope, receive, send)

    for header in (None, b"Bearer", b"Bearer ", b"Bearer wrong", b"Bearer \xff"):
        asyncio.run(ask(header))
        assert ran == []
        if kind == "http":
            assert sent[0]["status"] == 401
        else:
            assert [message["type"] for message in sent] == ["websocket.close"]
