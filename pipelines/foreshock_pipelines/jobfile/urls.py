"""URLs in a job file: checked, and shown without what lets one in."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, AnyHttpUrl, PlainSerializer, TypeAdapter

__all__ = ["Url", "check_url", "shown_url"]

MAX_LENGTH = 2048
HTTP_URL: TypeAdapter[AnyHttpUrl] = TypeAdapter(AnyHttpUrl)


def shown_url(url: str, *, path: bool = True) -> str:
    """Return a URL as it may be printed or logged: without user, password, query and fragment.

    >>> shown_url("https://ada:secret@metrics.example:9090/prom?token=abc")
    'https://metrics.example:9090/prom'

    Parameters
    ----------
    path
        Keep the path; that of a chat's webhook is a secret.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # as of http://[::1
        return "(not a URL)"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path if path else "", "", ""))


def check_url(value: str) -> str:
    """Return an http or https URL in its normal form.

    Raises
    ------
    ValueError
        Another scheme, no host, a port that is none, or too long.
    """
    if len(value) > MAX_LENGTH:
        raise ValueError(f"a URL of more than {MAX_LENGTH} characters")
    return str(HTTP_URL.validate_python(value))


Url = Annotated[
    str, AfterValidator(check_url), PlainSerializer(shown_url, return_type=str, when_used="json-unless-none")
]
"""An http or https URL with a host; JSON shows it by `shown_url`."""
