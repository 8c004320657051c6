"""E-mail against a real SMTP server on loopback."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from tests.servers.certificates import certificate
from tests.servers.servers import free_port

from foreshock.notify.channels.config import EmailChannel
from foreshock.notify.channels.registry import make_channel
from foreshock_models.errors import NotificationRefused, NotifyError

LINKS = {"incident": "http://f/incidents/i1", "ack": "http://f/ack/t"}


class Box:
    """Keeps what it gets; refuses addresses that begin with ``no``."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.users: list[str] = []
        self.answer = "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address.startswith("no"):
            return "550 no such address"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answer.startswith("250"):
            assert session.ssl is not None, "the text came before STARTTLS"
            self.mails.append(message_from_bytes(envelope.content, policy=default))  # type: ignore[arg-type]
        return self.answer

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.users.append(data.login.decode())
        return AuthResult(success=data.password == b"pass", handled=False)


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def send(box: Box, tmp_path: Path) -> Iterator[Callable[..., None]]:
    certificate(tmp_path, "server", "IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    controller = Controller(
        box, hostname="127.0.0.1", port=free_port(), tls_context=context, require_starttls=True, auth_required=True,
        authenticator=box.authenticate,
    )  # fmt: skip
    controller.start()
    port = controller.port

    def do(event: str = "paged", picture: Any = None, **more: Any) -> None:
        options = {
            "type": "email", "host": "127.0.0.1", "port": port, "ca_file": tmp_path / "server.pem",
            "from": "foreshock@example.com", "to": ["anna@example.com"], "username": "fs", "password": "pass",
            **more,
        }  # fmt: skip
        incident = {
            "id": "i1", "title": "latency of <db>\nBcc: evil@example.com", "severity": "critical",
            "entities": ["db"], "jobs": ["shop"], "since": "10:00", "root_causes": [], "resolved": None,
        }  # fmt: skip
        payload = {"id": "i1", "event": event, "key": f"i1/{event}", "incident": incident, "links": LINKS}
        make_channel("mail", EmailChannel.model_validate(options), picture=picture).send(payload)

    yield do
    controller.stop()


def test_an_email_comes_encrypted_authenticated_and_as_text_and_html(box: Box, send: Callable[..., None]) -> None:
    send()
    (mail,) = box.mails
    assert box.users == ["fs"]
    assert mail["Subject"] == "[critical] New incident: latency of <db> Bcc: evil@example.com"
    assert mail["Bcc"] is None and mail["To"] == "anna@example.com"
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None and "http://f/ack/t" in plain.get_content()
    assert html is not None and "latency of &lt;db&gt;" in html.get_content()


def test_emails_about_one_incident_are_a_thread_and_a_repeated_attempt_is_the_same_email(
    box: Box, send: Callable[..., None]
) -> None:
    for event in ("paged", "escalated", "escalated", "resolved"):
        send(event)
    first, escalated, again, resolved = box.mails
    assert first["In-Reply-To"] is None
    assert {escalated["In-Reply-To"], resolved["In-Reply-To"]} == {first["Message-ID"]}
    assert escalated["Message-ID"] == again["Message-ID"] != resolved["Message-ID"]


@pytest.mark.parametrize(
    ("more", "kind", "text"),
    [
        ({"password": "wrong"}, NotifyError, "user or password is wrong"),
        ({"to": ["no@example.com"]}, NotificationRefused, "550 no such address|addresses are refused"),
        ({"ca_file": None}, NotifyError, "certificate verify failed"),
        ({"port": 1}, NotifyError, "127.0.0.1:1: "),
    ],
)
def test_what_the_server_refuses_is_an_error_that_says_why(
    send: Callable[..., None], more: dict[str, Any], kind: type[NotifyError], text: str
) -> None:
    with pytest.raises(NotifyError, match=text) as raised:
        send(**more)
    assert type(raised.value) is kind


@pytest.mark.parametrize(("answer", "kind"), [("451 later", NotifyError), ("554 spam", NotificationRefused)])
def test_a_text_that_is_refused_for_now_is_tried_again_and_one_that_is_refused_for_good_is_not(
    box: Box, send: Callable[..., None], answer: str, kind: type[NotifyError]
) -> None:
    box.answer = answer
    with pytest.raises(NotifyError, match=answer[4:]) as raised:
        send()
    assert type(raised.value) is kind


def test_an_address_that_is_refused_does_not_make_the_others_get_it_again_and_again(
    box: Box, send: Callable[..., None]
) -> None:
    send(to=["anna@example.com", "no@example.com"])
    assert len(box.mails) == 1


PNG = b"\x89PNG drawn"


def test_the_timeline_is_a_picture_within_the_formatted_text(box: Box, send: Callable[..., None]) -> None:
    send(picture=lambda incident: PNG + incident.encode())
    (mail,) = box.mails
    html = mail.get_body(("related", "html"))
    assert html is not None
    (image,) = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert image.get_content() == PNG + b"i1"
    cid = image["Content-ID"].strip("<>")
    (text,) = [part.get_content() for part in mail.walk() if part.get_content_type() == "text/html"]
    assert f"cid:{cid}" in text
    assert mail.get_body(("plain",)) is not None


def test_a_picture_that_cannot_be_drawn_keeps_no_message_back(box: Box, send: Callable[..., None]) -> None:
    def broken(incident: str) -> bytes:
        raise RuntimeError("no font")

    send(picture=broken)
    send("acknowledged", picture=lambda incident: PNG)
    assert [sum(p.get_content_type() == "image/png" for p in mail.walk()) for mail in box.mails] == [0, 0]
