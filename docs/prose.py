"""Check the prose of the repository: docstrings, comments and pages use standard terms, subject first.

Run ``python docs/prose.py [PATH ...]``; it prints ``file:line: finding`` and ends with 1 if there are any. The
words are in ``vocabulary.toml``. Code in backquotes, code blocks and URLs are not prose.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["findings", "main"]

HERE = Path(__file__).parent
ROOT = HERE.parent
SOURCES = ("platform", "pipelines", "models", "docs", "README.md", "CONTRIBUTING.md", "configs")
CODE = re.compile(r"```.*?```|`[^`]*`|https?://\S+", re.DOTALL)


def main(paths: list[str]) -> int:
    files = sorted(file for path in paths or SOURCES for file in prose_files(ROOT / path))
    found = [f"{file.relative_to(ROOT)}:{line}: {text}" for file in files for line, text in findings(file)]
    print("\n".join(found) if found else f"prose: {len(files)} files, nothing to change")
    return 1 if found else 0


def prose_files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from (file for file in path.rglob("*") if file.suffix in {".py", ".md"})


def findings(file: Path) -> Iterator[tuple[int, str]]:
    """Line and finding of each passage of `file` that should change."""
    words = tomllib.loads((HERE / "vocabulary.toml").read_text(encoding="utf-8"))
    starts = tuple(f"{word} " for word in words["start"]["words"])
    terms = [(re.compile(rf"\b(?:{key})\b", re.IGNORECASE), term) for key, term in words["replace"].items()]
    source = file.read_text(encoding="utf-8")
    passages = python_prose(source) if file.suffix == ".py" else [(1, False, source)]
    for line, docstring, text in passages:
        plain = CODE.sub(lambda match: "\n" * match[0].count("\n"), text)
        if docstring and text.lstrip().startswith(starts):
            yield line, f"a docstring starts with {text.split()[0]!r}; say what the thing does or is"
        for pattern, term in terms:
            for match in pattern.finditer(plain):
                yield line + plain.count("\n", 0, match.start()), f"{match[0]!r}: write {term!r}"


def python_prose(source: str) -> Iterator[tuple[int, bool, str]]:
    """Line, whether it is a docstring, and text of each docstring and comment."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                value = statement.value.value
                if isinstance(value, str):
                    yield statement.lineno, True, value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], False, token.string.lstrip("# ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
