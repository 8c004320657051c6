"""Each compiled kernel has a reference of the same name, and nothing else is in either folder."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from foreshock_models.kernels import compiled, reference

SUBJECTS = sorted(file.stem for file in Path(compiled.__path__[0]).glob("*.py") if file.stem != "__init__")


def functions(module: ModuleType) -> dict[str, list[str]]:
    """Public functions and their parameters."""
    tree = ast.parse(inspect.getsource(module))
    return {
        node.name: [argument.arg for argument in node.args.args]
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


@pytest.mark.parametrize("subject", SUBJECTS)
def test_both_have_the_same_functions_with_the_same_parameters(subject: str) -> None:
    one, other = (import_module(f"{package.__name__}.{subject}") for package in (compiled, reference))
    assert functions(one) == functions(other)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_reference_uses_no_compiler(subject: str) -> None:
    text = Path(reference.__path__[0], f"{subject}.py").read_text()
    assert "numba" not in text
    assert "import" in text
    assert "kernels.compiled" not in text
