"""The three floors: what an import finds, from wherever it is done."""

from __future__ import annotations

import os
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


@pytest.fixture(scope="module")
def unpacked(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as an installer puts it into a folder of packages."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, root]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("foreshock-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.mark.slow
def test_the_wheel_holds_the_three_packages_and_nothing_else(unpacked: Path) -> None:
    assert {p.name for p in unpacked.iterdir() if p.suffix != ".dist-info"} == {
        "foreshock",
        "foreshock_pipelines",
        "foreshock_models",
    }


@pytest.mark.slow
def test_the_wheel_holds_every_file_that_is_no_code(root: Path, unpacked: Path) -> None:
    floors = {"platform": "foreshock", "pipelines": "foreshock_pipelines", "models": "foreshock_models"}
    kept = {
        file.relative_to(root / floor)
        for floor, package in floors.items()
        for file in (root / floor / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert any(file.suffix == ".j2" for file in kept)
    assert any(file.match("migrations/versions/*.py") for file in kept)
    assert {str(file) for file in kept if not (unpacked / file).is_file()} == set()


@pytest.mark.slow
def test_the_wheel_works_without_the_checkout(root: Path, unpacked: Path, tmp_path: Path) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "FORESHOCK"))}
    env |= {"PYTHONPATH": str(unpacked), "FORESHOCK_HOME": str(tmp_path)}

    def run(*words: str) -> str:
        done = subprocess.run([sys.executable, *words], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("-c", "import foreshock; print(foreshock.__file__)").startswith(str(unpacked))
    assert re.match(r"foreshock \d", run("-m", "foreshock", "--version"))
    run("-m", "foreshock", "config", "validate", "-c", str(root / "configs" / "node.yaml"))
    assert run("-m", "foreshock", "alerts", "list", "--json").strip().startswith(("[", "{"))  # migrates a new store


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
