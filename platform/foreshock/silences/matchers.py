"""Matchers of labels, with the syntax and the meaning of Alertmanager's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

from foreshock_models.errors import ConfigError

__all__ = ["LONGEST", "Matcher", "excerpt", "parse_matcher", "pattern_options", "read_matcher"]

LONGEST = 1000
"""Characters of a matcher's label name and of its value."""
PROGRAM_BYTES = 1 << 18
"""Memory of one compiled pattern: thousands of them fit into the alert actor."""
NAME = r"[A-Za-z_:][A-Za-z0-9_:]*"
OPERATOR = r"=~|!~|!=|="
TOKEN = r"""[^\s{}!=~,\\"'`]+|"(?:[^"\\\n]|\\.)*\""""
MODERN = re.compile(rf"\s*({TOKEN})\s*({OPERATOR})\s*({TOKEN})\s*", re.DOTALL)
CLASSIC = re.compile(rf"({NAME})\s*({OPERATOR})\s*(.*)", re.DOTALL)
ESCAPE = re.compile(rb"\\(?:([abfnrtv\\\"])|([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|)")
LETTERS = {
    b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b"\\": b"\\",
    b'"': b'"',
}  # fmt: skip
NOT_IN_RE2 = (
    "patterns are RE2's, as in Prometheus and Alertmanager: without backreferences (\\1), lookahead and lookbehind "
    "((?=, (?!, (?<=, (?<!), possessive and atomic groups, and with repetitions up to 1000"
)


@dataclass(frozen=True, slots=True)
class Matcher:
    """``name op value``; a missing label is the empty text, a pattern must match the whole value."""

    name: str
    op: str
    value: str

    @property
    def negative(self) -> bool:
        """True for ``!=`` and ``!~``."""
        return self.op.startswith("!")

    @property
    def is_pattern(self) -> bool:
        """True for ``=~`` and ``!~``."""
        return self.op.endswith("~")

    def matches(self, labels: Mapping[str, str]) -> bool:
        """True if the label of these has the value, or for a negative matcher has not."""
        found = labels.get(self.name, "")
        same = _pattern(self.value).fullmatch(found) is not None if self.is_pattern else found == self.value
        return same != self.negative

    def __str__(self) -> str:
        name = self.name if re.fullmatch(NAME, self.name) else _quoted(self.name)
        return f"{name}{self.op}{_quoted(self.value)}"


def parse_matcher(text: str) -> Matcher:
    """Read ``instance=web-1``, ``instance=~"web-.*"``, ``"service.name"!="x"``, ``pod!~"batch-.*"``.

    As in Alertmanager since 0.27: names and values are UTF-8, quoted where they hold a space or one of
    ``{}!=~,\\"'```; a quoted one has the escapes of Go. A text that cannot be read so is read as before 0.27: a
    name of letters, digits, ``_`` and ``:``, and a value that may hold everything but quotes.

    Raises
    ------
    ConfigError
        None of these, too long, or no regular expression of RE2.
    """
    matcher = read_matcher(text)
    for what, part in (("name", matcher.name), ("value", matcher.value)):
        if len(part) > LONGEST:
            raise ConfigError(f"a matcher's {what} has at most {LONGEST} characters: {excerpt(text)}")
        if not _is_text(part):
            raise ConfigError(f"{excerpt(text)}: a matcher is UTF-8 text without NUL characters")
    if matcher.is_pattern:
        _pattern(matcher.value)
    return matcher


def read_matcher(text: str) -> Matcher:
    """As `parse_matcher`, of what was accepted before, its pattern maybe by another version: not checked again."""
    name, op, value = _modern(text) or _classic(text) or ("", "", "")
    if not name:
        raise ConfigError(
            f"{excerpt(text)} is not a matcher; write NAME=VALUE, NAME!=VALUE, NAME=~PATTERN or NAME!~PATTERN, as "
            'in instance=~"web-.*"; quote a name or a value with spaces or signs, as in "service.name"="shop (eu)"'
        )
    return Matcher(name, op, value)


def excerpt(value: object) -> str:
    """Quote what was given in an error: as it would be typed in Python, cut after 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def _modern(text: str) -> tuple[str, str, str] | None:
    match = MODERN.fullmatch(text)
    if match is None:
        return None
    name, op, value = match.groups()
    parts = _unquoted(name), _unquoted(value)
    return None if None in parts else (str(parts[0]), op, str(parts[1]))


def _classic(text: str) -> tuple[str, str, str] | None:
    match = CLASSIC.fullmatch(text.strip())
    if match is None:
        return None
    name, op, value = match.groups()
    if value.startswith('"'):
        if len(value) < 2 or not value.endswith('"'):
            return None
        value = value[1:-1]
    if re.search(r'(?<!\\)(?:\\\\)*"', value) or re.search(r"(?<!\\)(?:\\\\)*\\$", value):
        return None  # a quote, or a backslash at the end, that nothing escapes
    return name, op, re.sub(r'\\([\\"n])', lambda found: "\n" if found[1] == "n" else found[1], value)


def _unquoted(token: str) -> str | None:
    """The text of a token; None where Go would not unquote it."""
    if not token.startswith('"'):
        return token
    try:
        return ESCAPE.sub(_unescaped, token[1:-1].encode()).decode()
    except (ValueError, OverflowError):  # an unknown escape, or bytes that are not valid UTF-8
        return None


def _unescaped(found: re.Match[bytes]) -> bytes:
    letter, octal, byte, short, long = found.groups()
    if letter is not None:
        return LETTERS[letter]
    if octal is not None or byte is not None:
        return bytes([int(octal, 8) if byte is None else int(byte, 16)])
    return chr(int(short or long or b"", 16)).encode()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'


def _is_text(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def pattern_options() -> Any:
    """RE2's options for patterns: a bound on the program's size, and no errors to standard error."""
    options = re2.Options()
    options.max_mem = PROGRAM_BYTES
    options.never_capture = True
    options.log_errors = False
    return options


@lru_cache(maxsize=10_000)
def _pattern(text: str) -> Any:
    try:
        return re2.compile(text, pattern_options())
    except re2.error as exc:
        why = exc.args[0].decode() if exc.args and isinstance(exc.args[0], bytes) else str(exc)
        raise ConfigError(f"{excerpt(text)} is not a regular expression: {why}; {NOT_IN_RE2}") from exc
