"""The examples in docstrings say what is true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import foreshock
import foreshock_models
import foreshock_pipelines


def modules_with_examples() -> Iterator[str]:
    for package in (foreshock_models, foreshock_pipelines, foreshock):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            spec = found.module_finder.find_spec(found.name, None)
            if spec is not None and spec.origin and spec.origin.endswith(".py"):
                with open(spec.origin, encoding="utf-8") as source:
                    if ">>> " in source.read():
                        yield found.name


@pytest.mark.parametrize("name", list(modules_with_examples()))
def test_examples_of(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried
    assert not failed
