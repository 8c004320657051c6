"""``make test`` runs every test file once."""

from __future__ import annotations

from pathlib import Path

from tests.together import PARTS


def test_every_test_file_is_in_one_part_and_in_one_of_a_shared_cluster(root: Path) -> None:
    for file in sorted((root / "tests").rglob("test_*.py")):
        name = file.relative_to(root).as_posix()
        parts = [options for options in PARTS.values() if _runs(options, name)]
        assert [options[1] for options in parts] == ["shared", "not shared"], (name, parts)


def test_the_notebooks_are_in_one_part(root: Path) -> None:
    for file in sorted((root / "notebooks").glob("*.ipynb")):
        (part,) = (options for options in PARTS.values() if _runs(options, file.relative_to(root).as_posix()))
        assert "-m" not in part, "a marker leaves notebooks out: hooks of tests/conftest.py do not see them"


def _runs(options: list[str], name: str) -> bool:
    ignored = [option.removeprefix("--ignore=") for option in options if option.startswith("--ignore=")]
    paths = [option for option in options if option.startswith(("tests", "notebooks"))]
    inside = [any(name == path or name.startswith(f"{path}/") for path in some) for some in (paths, ignored)]
    return inside == [True, False]
