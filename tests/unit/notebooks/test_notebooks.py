"""The notebooks as they are committed: short, executed, with pictures, and free of the machine they ran on.

That they run is seen by nbmake (`notebooks/conftest.py`), and here against a real Prometheus.
"""

from __future__ import annotations

import getpass
import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.notebooks.picture import PICTURE, last_picture

FOLDER = Path(__file__).resolve().parents[3] / "notebooks"
NAMES = ("01_quickstart", "02_explain", "03_tune_and_compare", "04_forecast_and_capacity", "05_remote_cluster")
# a path of a person or a machine: absolute, and not of an HTTP route
PATH = re.compile(r"(?<![\w/.:])/(?:home|root|tmp|work|usr|opt|var|Users|private|mnt)/[\w.-]+")


def read(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.ipynb").read_text())


def outputs(book: dict[str, Any]) -> list[dict[str, Any]]:
    return [output for cell in book["cells"] if cell["cell_type"] == "code" for output in cell["outputs"]]


def text_of(output: dict[str, Any]) -> str:
    """All text of an output, without its pictures."""
    data = {kind: value for kind, value in output.get("data", {}).items() if not kind.startswith("image/")}
    return json.dumps({**output, "data": data})


def test_these_are_the_notebooks() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_short_and_begins_with_a_title(name: str) -> None:
    cells = read(name)["cells"]
    assert len(cells) < 30
    assert cells[0]["cell_type"] == "markdown"
    assert "".join(cells[0]["source"]).startswith("# ")


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_executed_from_top_to_bottom_without_an_error(name: str) -> None:
    book = read(name)
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), "run make notebooks"
    assert [output["output_type"] for output in outputs(book) if output["output_type"] == "error"] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_has_pictures_and_no_warnings(name: str) -> None:
    found = outputs(read(name))
    assert sum("image/png" in output.get("data", {}) for output in found) >= 1
    assert [output["text"] for output in found if output.get("name") == "stderr"] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_names_no_path_user_or_host(name: str) -> None:
    machine = re.compile(rf"\b({re.escape(socket.gethostname())}|{re.escape(getpass.getuser())})\b")
    address = re.compile(r"\b(?!127\.0\.0\.1\b|0\.0\.0\.0\b)\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b")
    for output in outputs(read(name)):
        text = text_of(output)
        for pattern in (PATH, machine, address):
            assert not pattern.search(text), f"{pattern.search(text)}: {text[:300]}"


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    text = "".join("".join(cell["source"]) for cell in read(name)["cells"] if cell["cell_type"] == "markdown")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("http") or (FOLDER / link).exists(), link


def test_the_picture_of_the_readme_is_the_last_one_of_the_quickstart(root: Path) -> None:
    assert PICTURE.read_bytes() == last_picture(), "run python -m tests.e2e.notebooks.picture"
    assert PICTURE.relative_to(root).as_posix() in (root / "README.md").read_text()
