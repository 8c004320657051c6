"""YAML as plain values: bounded before anything is constructed, and no other types than those of JSON and dates."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from foreshock_models.errors import ConfigError
from foreshock_pipelines.jobfile.location import dotted, place

__all__ = ["MAX_DEPTH", "MAX_TEXT", "MAX_VALUES", "parse_yaml"]

MAX_DEPTH = 32
MAX_VALUES = 20_000
"""Values of a document; what an alias stands for counts at each place."""
MAX_DIGITS = 400
"""Characters of a number: more than the largest float has, and base 60 takes quadratic time (``1:30:30...``)."""
MAX_TEXT = 4 << 20
"""Characters of all values, counted in the same way."""
PLAIN = "tag:yaml.org,2002:"
UNREADABLE = {
    "int": "a number of too many digits", "float": "a number of too many digits", "timestamp": "no such date",
}  # fmt: skip
NUMBERS = (PLAIN + "int", PLAIN + "float")
KEY_KINDS = {"bool": "true or false", "null": "empty", "int": "a number", "float": "a number"}
SURROGATE = re.compile("[\ud800-\udfff]")
Fast: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_yaml(text: str, name: str) -> Any:
    """Return the values of one YAML document.

    Raises
    ------
    ConfigError
        One line that names the place: not YAML, a tag, a key that is not text or stands twice, an alias to itself,
        a number that is not finite, or more than this module allows.
    """
    try:
        if SURROGATE.search(text):
            raise _Mistake("half of a character (a surrogate), which no file can hold", line=0)
        _measure(text)
        found = _load(text)
        _check(found, [])
    except _Mistake as exc:
        where = place(text, exc.line) if exc.line is not None else dotted(exc.path)
        raise ConfigError(f"{name}: {where or 'the job'}: {exc}") from None
    except yaml.YAMLError as exc:
        raise ConfigError(f"{name}: not valid YAML: {_without_values(exc, text)}") from None
    return found


class _Mistake(Exception):
    """A mistake at a line, counted from 0, or at a path of keys."""

    def __init__(self, message: str, *, line: int | None = None, path: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.line = line
        self.path = path


@dataclass
class _Sizes:
    """Size of a document up to an event, and size of what each anchor names."""

    values: int = 0
    characters: int = 0
    open: list[tuple[str | None, int, int]] = field(default_factory=list)
    named: dict[str, tuple[int, int] | None] = field(default_factory=dict)
    """None while the collection of that anchor is open."""

    def begin(self, anchor: str | None, line: int) -> None:
        self.open.append((anchor, self.values, self.characters))
        self.add(1, 0, line)
        if anchor is not None:
            self.named[anchor] = None
        if len(self.open) > MAX_DEPTH:
            raise _Mistake(f"nested more than {MAX_DEPTH} deep", line=line)

    def end(self) -> None:
        anchor, values, characters = self.open.pop()
        if anchor is not None:
            self.named[anchor] = self.values - values, self.characters - characters

    def scalar(self, anchor: str | None, length: int, line: int) -> None:
        self.add(1, length, line)
        if anchor is not None:
            self.named[anchor] = 1, length

    def alias(self, anchor: str, line: int) -> None:
        # the name stays out of the messages: it may be a password that begins with *
        if anchor not in self.named:
            raise _Mistake(
                "an alias (*...) without its anchor (&...); a text that begins with * needs quotes", line=line
            )
        size = self.named[anchor]
        if size is None:
            raise _Mistake("an alias (*...) that stands inside of what it stands for", line=line)
        self.add(*size, line)

    def add(self, values: int, characters: int, line: int) -> None:
        self.values += values
        self.characters += characters
        if self.values > MAX_VALUES:
            raise _Mistake(
                f"more than {MAX_VALUES:,} values, with those of aliases; no job needs as many", line=line
            )
        if self.characters > MAX_TEXT:
            raise _Mistake(f"more than {MAX_TEXT >> 20} MiB of text, aliases followed", line=line)


def _measure(text: str) -> None:
    """Look at the events of the parser, before anything is constructed of them."""
    directive = re.search(r"^%TAG", text, re.MULTILINE)  # libyaml takes quadratic time over them
    if directive:
        raise _Mistake("a %TAG directive; a job file has no tags", line=text.count("\n", 0, directive.start()))
    sizes = _Sizes()
    for event in yaml.parse(text, Loader=Fast):
        line = event.start_mark.line if event.start_mark else 0
        if isinstance(event, yaml.CollectionEndEvent):
            sizes.end()
        elif isinstance(event, yaml.AliasEvent):
            sizes.alias(event.anchor or "", line)
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            if event.tag not in (None, "!", PLAIN + "str"):
                raise _Mistake("a tag (!...); a text that begins with ! needs quotes", line=line)
            if isinstance(event, yaml.ScalarEvent):
                sizes.scalar(event.anchor, len(event.value), line)
            else:
                sizes.begin(event.anchor, line)


class _Loader(Fast):  # type: ignore[misc]
    """Makes the values of nodes that are bounded already; says of a value that cannot be where it stands."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            if node.tag in NUMBERS and len(node.value) > MAX_DIGITS:
                raise ValueError("too many digits")
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as exc:  # 2026-02-30, or a number of 5,000 digits
            what = UNREADABLE.get(node.tag.removeprefix(PLAIN), "cannot be read")
            raise _Mistake(
                f"{what}; if it is meant as text, put it into quotes", line=node.start_mark.line
            ) from exc


def _load(text: str) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_keys(node, set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check_keys(node: yaml.Node, seen: set[int]) -> None:
    """Refuse keys that are not text, and keys that stand twice, of which YAML would keep the last."""
    if id(node) in seen or isinstance(node, yaml.ScalarNode):
        return
    seen.add(id(node))
    children = node.value
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, _ in node.value:
            line = key.start_mark.line
            if not isinstance(key, yaml.ScalarNode):
                raise _Mistake("a key must be text, not a list or a mapping", line=line)
            kind = key.tag.removeprefix(PLAIN)
            if kind not in ("str", "merge"):
                raise _Mistake(f"the key reads as {KEY_KINDS.get(kind, 'a date')}; put it into quotes", line=line)
            if key.value in keys:
                raise _Mistake(f"the key {key.value!r} stands twice", line=line)
            keys.add(key.value)
        children = [value for _, value in node.value]
    for child in children:
        _check_keys(child, seen)


def _check(value: Any, path: tuple[str, ...] | list[str]) -> None:
    """Refuse what no later step can take."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check(key, path)
            _check(item, (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check(item, (*path, str(i)))
    elif isinstance(value, float) and not math.isfinite(value):
        raise _Mistake(f"{value} is not a finite number", path=tuple(path))
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise _Mistake(UNREADABLE["int"], path=tuple(path))
    elif isinstance(value, str) and SURROGATE.search(value):
        raise _Mistake("holds half of a character (a surrogate)", path=tuple(path))


def _without_values(exc: yaml.YAMLError, text: str) -> str:
    """One line that says what is wrong and where, without the text of the file, in which a secret may stand."""
    if isinstance(exc, yaml.reader.ReaderError):
        before = (
            text[: exc.position] if Fast is yaml.SafeLoader else text.encode()[: exc.position].decode("latin-1")
        )
        return f"{place(text, before.count(chr(10)))}: a control character; is it a binary file?"
    if not isinstance(exc, yaml.MarkedYAMLError) or exc.problem_mark is None:
        return "it cannot be read"
    line, column = exc.problem_mark.line, exc.problem_mark.column
    where = f"{place(text, line)}, column {column + 1}"
    if "".join(text.split("\n")[line : line + 1])[column : column + 1] == "\t":
        return f"{where}: a tab; YAML is indented with spaces"
    words = [exc.context, exc.problem] if isinstance(exc, yaml.composer.ComposerError) else [exc.problem]
    # words of the file are quoted in it; single characters help, and stay
    return f"{where}: " + re.sub(r"'(?:[^'\\]|\\.){2,}'|\"[^\"]{2,}\"", "...", ", ".join(filter(None, words)))
