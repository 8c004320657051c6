"""The generator of the reference pages, as MkDocs loads it: by its path."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def hooks() -> ModuleType:
    return load("hooks")


@pytest.fixture(scope="session")
def prose() -> ModuleType:
    return load("prose")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"foreshock_docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
