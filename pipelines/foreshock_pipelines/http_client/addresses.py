"""Parts of URLs: what may be shown, and what two of them share."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from requests.sessions import SessionRedirectMixin

from foreshock_models.errors import HttpError
from foreshock_pipelines.jobfile.urls import shown_url as shown

__all__ = ["same_host", "same_origin", "shown", "without_parameters", "without_user"]

_rules = SessionRedirectMixin()


def without_user(url: str) -> str:
    """The URL without user and password.

    Raises
    ------
    HttpError
        It is none.
    """
    try:
        parts = urlsplit(url)
    except ValueError as exc:  # its text may hold the password
        raise HttpError("the address cannot be used: it is not a URL") from exc
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def without_parameters(url: str, names: set[str]) -> str:
    """The URL without the query parameters of these names."""
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in names]
    return urlunsplit(parts._replace(query=urlencode(kept)))


def same_host(url: str, other: str) -> bool:
    """Check whether `other` is on the same host, and not less protected."""
    one, two = urlsplit(url), urlsplit(other)
    return one.hostname == two.hostname and not (one.scheme == "https" and two.scheme != "https")


def same_origin(url: str, other: str) -> bool:
    """Check whether credentials for `url` may go to `other`: same host and port, or port 80 to 443 of that host."""
    return same_host(url, other) and not _rules.should_strip_auth(url, other)
