"""E-mail by SMTP: text and HTML; messages about one incident are one thread."""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from foreshock.logs import get_logger
from foreshock.notify.channels.base import Channel, idempotency_key
from foreshock.notify.channels.config import EmailChannel, secret_of
from foreshock_models.errors import ConfigError, NotificationRefused, NotifyError

__all__ = ["Email"]

log = get_logger("notify")
BEGINS = ("paged", "message")
"""Events that begin a thread; all others answer its first message."""
PICTURED = ("paged", "escalated", "reopened", "resolved")
"""Events whose message has the timeline of the incident in it."""
PICTURE = "timeline@foreshock"


class Email(Channel):
    """Sends one e-mail to all addresses."""

    config: EmailChannel
    kind = "email"
    escape = "html"

    def deliver(self, payload: dict[str, Any]) -> None:
        message = self.message(payload)
        seconds = self.config.timeout.total_seconds()
        try:
            with self._connect(seconds) as server:
                refused = server.send_message(message)
        except smtplib.SMTPRecipientsRefused as exc:
            codes = [code for code, _ in exc.recipients.values()]
            kind = NotificationRefused if all(code >= 500 for code in codes) else NotifyError
            raise kind(f"email {self.config.host}: the addresses are refused: {_said(exc)}") from exc
        except smtplib.SMTPAuthenticationError as exc:
            raise NotifyError(f"email {self.config.host}: user or password is wrong: {_said(exc)}") from exc
        except smtplib.SMTPDataError as exc:
            kind = NotificationRefused if exc.smtp_code >= 500 else NotifyError
            raise kind(f"email {self.config.host}: {_said(exc)}") from exc
        except (smtplib.SMTPException, OSError) as exc:
            raise NotifyError(f"email {self.config.host}:{self.config.port}: {_said(exc)}") from exc
        if refused:  # the others have it: to repeat it would tell them again
            log.warning("addresses are refused", channel=self.name, addresses=sorted(refused))

    def message(self, payload: dict[str, Any]) -> EmailMessage:
        """The e-mail: an attempt that is repeated has the same ``Message-ID``."""
        plain = self.rendered(payload, escape="plain", kind="text")
        html = self.rendered(payload)
        made = EmailMessage()
        made["Subject"] = plain.title[:900] or "Foreshock"
        made["From"], made["To"] = self.config.sender, ", ".join(self.config.to)
        made["Date"] = format_datetime(datetime.now(UTC))
        first = _id(f"{self.name}/{payload['id']}")
        if payload["event"] in BEGINS and "messages" not in payload:
            made["Message-ID"] = first
        else:
            made["Message-ID"] = _id(f"{self.name}/{idempotency_key(payload)}")
            made["In-Reply-To"] = made["References"] = first
        made["Auto-Submitted"] = "auto-generated"
        made["X-Foreshock-Incident"] = payload["id"]
        made.set_content(plain.body)
        if "messages" not in payload:
            self._add_html(made, html.body, payload)
        return made

    def _add_html(self, mail: EmailMessage, body: str, payload: dict[str, Any]) -> None:
        """Add the formatted text, with the timeline of the incident in it."""
        drawn = self._drawn(payload) if payload["event"] in PICTURED else None
        if drawn is not None:
            image = f'<p><img src="cid:{PICTURE}" alt="" width="750" style="max-width:100%"></p>'
            at = body.rfind("</body>")
            body = f"{body[:at]}{image}{body[at:]}" if at >= 0 else body + image
        mail.add_alternative(body, subtype="html")
        if drawn is not None:
            part: Any = mail.get_payload()[-1]  # type: ignore[index]
            part.add_related(
                drawn, "image", "png", cid=f"<{PICTURE}>", filename="timeline.png", disposition="inline"
            )

    def _drawn(self, payload: dict[str, Any]) -> bytes | None:
        """The picture; a message never waits for one that cannot be drawn, whatever the reason."""
        try:
            return self.picture(payload["id"])
        except Exception as exc:  # the boundary: to be told matters more than to see it
            log.warning("picture not drawn", channel=self.name, incident=payload["id"], error=type(exc).__name__)
            return None

    def _connect(self, seconds: float) -> smtplib.SMTP:
        config = self.config
        context = ssl.create_default_context(cafile=config.ca_file)
        server: smtplib.SMTP
        if config.security == "tls":
            server = smtplib.SMTP_SSL(config.host, config.port, timeout=seconds, context=context)
        else:
            server = smtplib.SMTP(config.host, config.port, timeout=seconds)
        try:
            if config.security == "starttls":
                server.starttls(context=context)
            password = secret_of(config, "password")
            if config.username is not None and password is not None:
                server.login(config.username, password)
        except (smtplib.SMTPException, OSError, ConfigError):
            server.close()
            raise
        return server


def _id(text: str) -> str:
    return f"<{hashlib.sha256(text.encode()).hexdigest()[:32]}@foreshock>"


def _said(exc: BaseException) -> str:
    if isinstance(exc, smtplib.SMTPResponseException):
        error = exc.smtp_error
        text = error.decode("utf-8", "replace") if isinstance(error, bytes) else str(error)
        return f"{exc.smtp_code} {text}"
    return f"{type(exc).__name__}: {exc}"
