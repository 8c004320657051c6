"""Status of an answer beside its result: an error, or warnings that a part of the data is missing."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import orjson

__all__ = ["Answer", "error_of", "is_too_much", "partial_reasons"]

SMALL = 1 << 16
"""Bytes; errors and lists of warnings are shorter."""
# A label cannot look like these two: its value is a string, in which every quote is escaped.
PARTIAL = re.compile(rb'"(?:isPartial|partial)"\s*:\s*true')
WARNINGS = re.compile(rb'"warnings"\s*:\s*(?=\[)')
ANNOTATION = re.compile(r"PromQL (warning|info):|\d+ more (warning|info) annotations omitted")
"""Remarks on a query, not on missing data."""
TOO_MUCH = re.compile(
    r"too many (samples|points|chunks|series|time ?series|data ?points|bytes)|cannot (select|process) more than"
    r"|(?<!deadline )exceed|larger than|query length|limit \d+ violated|hit the (max|aggregated)|not enough memory"
    r"|(reduce|shorten|narrow|smaller|shorter)\b.{0,20}\brange",
    re.IGNORECASE,
)
"""How servers say that a request should be split: Prometheus' 11,000 points; limits on chunks, series, samples and
bytes of Thanos, Cortex and Mimir; Mimir's query length; VictoriaMetrics' -search.max...; gRPC's message size."""
BUSY = re.compile(r"requests|queries|rate limit|time ?out|timed out", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer, as sent, and why it may lack data (`partial`; empty: it is whole)."""

    body: bytes
    partial: tuple[str, ...] = ()


def partial_reasons(body: bytes) -> tuple[str, ...]:
    """Why the answer of a query may lack series or samples; nothing if it is whole.

    VictoriaMetrics says ``"isPartial":true``; Thanos, Mimir and Prometheus with remote read put what failed into
    ``"warnings"``. Warnings about the query itself, and ``"infos"``, do not count.
    """
    found = [text for text in _warnings(body) if not ANNOTATION.match(text)]
    if not found and PARTIAL.search(body):
        found = ["a part of the data could not be read (isPartial)"]
    return tuple(dict.fromkeys(found))


def error_of(body: bytes) -> tuple[str, str] | None:
    """Type and text of an error that came with a status of success."""
    if len(body) > SMALL:
        return None
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict):
        return None
    if document.get("status") != "error" and (document.get("data") is not None or "error" not in document):
        return None
    return str(document.get("errorType") or ""), str(document.get("error") or "no message")


def is_too_much(status: int | None, text: str) -> bool:
    """Check whether an error asks for a smaller request, not for another query or a later time."""
    if status == 413:
        return True
    if status is None or status in (401, 403, 404, 429) or TOO_MUCH.search(text) is None:
        return False
    return status < 500 or BUSY.search(text) is None


def _warnings(body: bytes) -> list[str]:
    for match in WARNINGS.finditer(body):
        text = body[match.end() : match.end() + SMALL].decode(errors="replace")
        try:
            value, _ = json.JSONDecoder().raw_decode(text)
        except json.JSONDecodeError:  # longer than that
            value = [text[:500]]
        if value:
            return [" ".join(str(each).split()) for each in value]
    return []
