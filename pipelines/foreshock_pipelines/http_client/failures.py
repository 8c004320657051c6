"""Errors of all libraries below, as `HttpError`, in one line without a secret."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator

import orjson
import requests
import urllib3

from foreshock_models.errors import HttpError

__all__ = ["CUT", "failure", "server_message"]

CUT = "the response was cut"
LONGEST = 500
WRONG_ADDRESS = (
    requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidProxyURL, urllib3.exceptions.LocationValueError, UnicodeError,
    http.client.InvalidURL,
)  # fmt: skip


def failure(exc: Exception, url: str, shown: str) -> HttpError:
    """Describe why a request got no answer; the URL is written as `shown`.

    Every exception has its line: an unforeseen one is named by its type alone, because its text may hold a secret.
    """
    chain = list(_chain(exc))
    inner = chain[-1]
    text = (getattr(inner, "strerror", None) or f"{type(inner).__name__}: {inner}").replace(url, shown)
    if any(isinstance(one, ssl.SSLError) for one in chain):
        found = next(one for one in reversed(chain) if isinstance(one, ssl.SSLError))
        again = not isinstance(found, ssl.SSLCertVerificationError)
        return HttpError(f"TLS failed: {type(found).__name__}: {_line(str(found))}", retriable=again)
    if any(isinstance(one, http.client.IncompleteRead | urllib3.exceptions.IncompleteRead) for one in chain):
        return HttpError(CUT, retriable=True)
    if any(isinstance(one, WRONG_ADDRESS) for one in chain):
        return HttpError(f"the address cannot be used: {_line(text)}")
    if any(isinstance(one, OSError | urllib3.exceptions.HTTPError | http.client.HTTPException) for one in chain):
        return HttpError(_line(text), retriable=True)
    return HttpError(f"cannot be asked: {type(inner).__name__}")


def server_message(body: bytes, content_type: str = "") -> str:
    """The error that a server reports, in one line: the message of a JSON document, else its text."""
    try:
        document = orjson.loads(body)
        for key in ("error", "detail", "message", "title"):
            if isinstance(document, dict) and isinstance(document.get(key), str) and document[key]:
                return _line(document[key])
    except orjson.JSONDecodeError:
        pass
    return _line(decoded(body, content_type)) or "no message"


def decoded(body: bytes, content_type: str) -> str:
    """The text of a body in the charset that its type names; what is not of it is replaced."""
    charset = requests.utils.get_encoding_from_headers(
        requests.structures.CaseInsensitiveDict({"content-type": content_type})
    )
    declared = charset if charset and "charset" in content_type.lower() else "utf-8"
    try:
        return body.decode(declared, errors="replace")
    except LookupError:
        return body.decode(errors="replace")


def _line(text: str) -> str:
    """One line of printable characters."""
    whole = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return whole if len(whole) <= LONGEST else f"{whole[:LONGEST]} ..."


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """An exception and its causes, the innermost last."""
    seen: set[int] = set()
    one: BaseException | None = exc
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        reason = getattr(one, "reason", None)
        deeper = reason if isinstance(reason, BaseException) else one.__cause__ or one.__context__
        one = deeper if isinstance(deeper, BaseException) else None
