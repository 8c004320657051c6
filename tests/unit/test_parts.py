"""``make test`` runs every test file once."""

from __future__ import annotations

from pathlib import Path

from tests.together import PARTS


def test_every_test_file_is_in_one_part_and_in_that_of_the_shared_cluster(root: Path) -> None:
    for file in sorted((root / "tests").rglob("test_*.py")):
        name = file.relative_to(root).as_posix()
        parts = [part for part, options in PARTS.items() if _runs(options, name)]
        assert len(parts) == 2 and parts[0] == "shared cluster", (name, parts)


def _runs(options: list[str], name: str) -> bool:
    ignored = [option.removeprefix("--ignore=") for option in options if option.startswith("--ignore=")]
    paths = [option for option in options if option.startswith(("tests", "notebooks"))]
    inside = [any(name == path or name.startswith(f"{path}/") for path in some) for some in (paths, ignored)]
    return inside == [True, False]
