"""JSON by POST, signed.

The header ``X-Foreshock-Signature`` is ``t=SECONDS,v1=HEX``: HMAC-SHA256, by the shared secret, of the seconds, a
dot and the body. A receiver computes it again, compares in constant time, and refuses an old time stamp.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Any

from foreshock.notify.channels.base import Channel, idempotency_key
from foreshock.notify.channels.config import secret_of
from foreshock.notify.posting import JsonPoster, encoded

__all__ = ["HEADER", "SignedWebhook", "signature"]

HEADER = "X-Foreshock-Signature"


class SignedWebhook(Channel):
    """Posts the payload with the message as text beside it."""

    def deliver(self, payload: dict[str, Any]) -> None:
        text = self.rendered(payload)
        body = encoded({**payload, "title": text.title, "text": text.body})
        headers = {"Idempotency-Key": idempotency_key(payload)}
        secret = secret_of(self.config, "secret")
        if secret is not None:
            headers[HEADER] = signature(secret, round(time.time()), body)
        JsonPoster(self.config).send(body, headers)


def signature(secret: str, seconds: int, body: bytes) -> str:
    """Sign a body at a time."""
    made = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={made}"
