"""The README is short, its links resolve, and its translations say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
README = ROOT / "README.md"
TRANSLATIONS = [ROOT / "README.de.md", ROOT / "README.fr.md"]
ALL = [README, *TRANSLATIONS]


def blocks(text: str) -> list[str]:
    """Code blocks without their comments, which are translated."""
    return [re.sub(r"\s*#.*", "", block) for block in re.findall(r"```.*?```", text, re.DOTALL)]


def levels(text: str) -> list[int]:
    return [len(marks) for marks in re.findall(r"^(#+) ", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.M)]


def targets(text: str) -> list[str]:
    return re.findall(r"\]\(([^)#]+?)\)", text)


def test_it_is_read_in_three_minutes() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 130


@pytest.mark.parametrize("file", TRANSLATIONS, ids=lambda file: file.name)
def test_a_translation_has_the_same_sections_commands_and_links(file: Path) -> None:
    ours, theirs = README.read_text(encoding="utf-8"), file.read_text(encoding="utf-8")
    assert levels(theirs) == levels(ours)
    assert blocks(theirs) == blocks(ours)
    languages = {"README.md", "README.de.md", "README.fr.md"}
    assert [t for t in targets(theirs) if t not in languages] == [t for t in targets(ours) if t not in languages]


@pytest.mark.parametrize("file", ALL, ids=lambda file: file.name)
def test_its_links_resolve(file: Path) -> None:
    local = [target for target in targets(file.read_text(encoding="utf-8")) if "://" not in target]
    assert local
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_its_job_file_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    from foreshock_pipelines.jobfile import parse_job

    monkeypatch.delenv("PROMETHEUS_URL", raising=False)
    (text,) = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert parse_job(text).name == "node"
