"""Templates of messages: Jinja2 in a sandbox, escaped for the channel; the built-in one replaces a broken one."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateError
from jinja2.exceptions import TemplateNotFound
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from foreshock.logs import get_logger
from foreshock.notify.translations import TRANSLATIONS

__all__ = ["ESCAPES", "Rendered", "Templates", "context_of"]

log = get_logger("notify")
BUILTIN = Path(__file__).parent / "builtin"
BUILTIN_OF = {"email": "email", "sms": "sms"}
"""Built-in template by kind of text; all others share one."""
LONGEST = 64 * 1024
LONGEST_SECONDS = 2.0
COLOURS = {"info": "#2f6f9f", "warning": "#b7791f", "critical": "#b42318"}
MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~])")

Escape = Callable[[str], str]
ESCAPES: Mapping[str, Escape] = {
    "plain": lambda text: text,
    "html": lambda text: html.escape(text),
    "slack": lambda text: text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
    "markdown": lambda text: MARKDOWN.sub(r"\\\1", text),
}
"""Functions that make text of others harmless, by the format of a channel."""


class _TooMuch(TemplateError):
    """A template that writes too much, or takes too long."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message as text; `problem` says what was wrong with the template that was asked for."""

    title: str
    body: str
    problem: str | None = None


class Templates:
    """Templates of an installation.

    A file is ``NAME.LANGUAGE.j2`` or ``NAME.j2``, with the blocks ``title`` and ``body``.

    Parameters
    ----------
    folder
        Of the files; None: only the built-in ones.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._environments = {name: _environment(folder, escape) for name, escape in ESCAPES.items()}
        self._builtin = {name: _environment(BUILTIN, escape) for name, escape in ESCAPES.items()}

    def render(
        self, name: str, escape: str, payload: Mapping[str, Any], *, kind: str = "text", language: str = "en"
    ) -> Rendered:
        """Render a message.

        Parameters
        ----------
        name
            Of the template; where there is no such file, the built-in one is meant.
        escape
            One of `ESCAPES`.
        kind
            ``text``, ``email`` or ``sms``: which built-in template.
        """
        values = context_of(payload, language)
        problem = None
        try:
            template = self._find(name, escape, language)
            if template is not None:
                return _rendered(template, values)
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as exc:
            problem = f"the template {name!r} is broken: {_one_line(exc)}"
            log.error("template is broken; the built-in one is sent", template=name, error=_one_line(exc))
        template = self._builtin[escape].get_template(f"{BUILTIN_OF.get(kind, 'text')}.j2")
        note = {"note": " ".join(filter(None, [values["note"], problem and f"({problem})"]))}
        done = _rendered(template, {**values, **note})
        return Rendered(done.title, done.body, problem)

    def _find(self, name: str, escape: str, language: str) -> Template | None:
        if self.folder is None:
            return None
        for file in (f"{name}.{language}.j2", f"{name}.j2"):
            try:
                return self._environments[escape].get_template(file)
            except TemplateNotFound:
                continue
        return None


def context_of(payload: Mapping[str, Any], language: str = "en") -> dict[str, Any]:
    """Names that a template may use, from the payload of a message."""
    incident = payload.get("incident") or {}
    words = TRANSLATIONS[language]
    severity = incident.get("severity", "info")
    links = {"incident": "", "ack": "", "silence": "", **payload.get("links", {})}
    causes = incident.get("root_causes", [])[:3]
    where = ", ".join(incident.get("entities", [])[:5]) or ", ".join(incident.get("jobs", []))
    return {
        "title": incident.get("title", payload.get("title", "")),
        "event": payload["event"],
        "level": severity,
        "service": where,
        "details": "; ".join(cause["reason"] for cause in causes),
        "recommended_action": payload.get("recommended_action") or words["look"],
        "dashboard_url": links["incident"],
        "since": incident.get("since", payload.get("posted", "")),
        "resolved": incident.get("resolved"),
        "assignee": incident.get("assignee"),
        "causes": causes,
        "incident": incident,
        "links": links,
        "note": payload.get("note") or "",
        "person": payload.get("person"),
        "test": bool(payload.get("test")),
        "colour": COLOURS.get(severity, COLOURS["info"]),
        "language": language,
        "words": words,
        "variables": payload.get("variables", {}),
    }


def _environment(folder: Path | None, escape: Escape) -> SandboxedEnvironment:
    def finalize(value: Any) -> Any:
        return value if isinstance(value, Markup) else escape("" if value is None else str(value))

    loader = FileSystemLoader(folder) if folder is not None else None
    return SandboxedEnvironment(
        loader=loader, undefined=StrictUndefined, finalize=finalize, autoescape=False, trim_blocks=False
    )


def _rendered(template: Template, values: dict[str, Any]) -> Rendered:
    context = template.new_context(values)
    parts = {}
    for name in ("title", "body"):
        if name not in template.blocks:
            raise TemplateError(f"the block {name!r} is missing")
        parts[name] = _bounded(template.blocks[name](context))
    return Rendered(" ".join(parts["title"].split()), parts["body"].strip("\n") + "\n")


def _bounded(pieces: Any) -> str:
    until, found, size = time.monotonic() + LONGEST_SECONDS, [], 0
    for piece in pieces:
        found.append(piece)
        size += len(piece)
        if size > LONGEST or time.monotonic() > until:
            raise _TooMuch(f"it writes more than {LONGEST} characters, or takes more than {LONGEST_SECONDS:g} s")
    return "".join(found)


def _one_line(exc: Exception) -> str:
    line = getattr(exc, "lineno", None)
    return " ".join(f"{type(exc).__name__}: {exc}".split()) + (f" (line {line})" if line else "")
