"""The three floors: what an import finds, from wherever it is done."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

STDLIB = "import platform; assert platform.python_version() and 'foreshock' not in (platform.__file__ or '')"


def test_source_roots_are_no_packages(root: Path) -> None:
    for floor in ("platform", "pipelines", "models"):
        assert not (root / floor / "__init__.py").exists(), f"{floor}/__init__.py would shadow other modules"


def test_import_platform_gives_the_standard_library_from_the_repository_root(root: Path) -> None:
    subprocess.run([sys.executable, "-c", STDLIB], cwd=root, check=True)


def test_import_platform_gives_the_standard_library_inside_pytest() -> None:
    import platform

    assert platform.python_version()


@pytest.mark.ray
def test_import_platform_gives_the_standard_library_in_a_ray_worker(ray_cluster: None) -> None:
    import ray

    @ray.remote(num_cpus=0.1)
    def python_version() -> str:
        import platform

        return platform.python_version()

    assert ray.get(python_version.remote()) == sys.version.split()[0]


@pytest.mark.slow
def test_the_wheel_holds_the_three_packages_and_nothing_else(root: Path, tmp_path: Path) -> None:
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            tmp_path,
            root,
        ],
        check=True,
    )
    (wheel,) = tmp_path.glob("foreshock-*.whl")
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {t for t in tops if not t.endswith(".dist-info")} == {
        "foreshock",
        "foreshock_pipelines",
        "foreshock_models",
    }


def test_nothing_in_the_sources_unpickles(root: Path) -> None:
    forbidden = re.compile(
        r"\b(pickle|joblib|cloudpickle|dill|shelve)\b|torch\.(load|save)\b|allow_pickle\s*=\s*True"
    )
    for floor in ("platform", "pipelines", "models"):
        for file in (root / floor).rglob("*.py"):
            code = "\n".join(line.split("#")[0] for line in file.read_text().splitlines())
            code = re.sub(r'"""[\s\S]*?"""', "", code)
            assert not forbidden.search(code), f"{file} names {forbidden.search(code)}"  # type: ignore[str-bytes-safe]


def test_the_public_names_import_nothing_heavy() -> None:
    code = "import sys, foreshock; assert not {'ray', 'torch', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
