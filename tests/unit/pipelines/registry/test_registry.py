"""Versions of models: seen whole or not at all, whatever dies in the middle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foreshock_models.detectors import Subspace
from foreshock_models.errors import ArtifactError, RegistryError
from foreshock_pipelines.registry import CHALLENGER, CHAMPION, Registry

EXTRA = {"training": {"start": "", "end": "", "entities": 1}}


@pytest.fixture(scope="module")
def detector() -> Subspace:
    return Subspace(window=4).fit(np.random.default_rng(0).normal(size=(200, 2)))


@pytest.fixture(params=["folder", "uri"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Registry:
    return Registry(tmp_path if request.param == "folder" else f"file://{tmp_path}")


def test_the_champion_is_promoted_and_rolled_back(registry: Registry, detector: Subspace) -> None:
    first = registry.publish(detector, "node", EXTRA)
    second = registry.publish(detector, "node", EXTRA, alias=CHALLENGER)
    assert registry.champion("node") == first.version
    assert registry.promote("node").version == second.version
    assert registry.get("node").aliases == (CHAMPION,)
    assert registry.rollback("node").version == first.version
    with pytest.raises(RegistryError, match="no earlier champion"):
        registry.rollback("node")


def test_what_is_loaded_scores_as_what_was_published(registry: Registry, detector: Subspace) -> None:
    registry.publish(detector, "node", EXTRA)
    loaded, model = registry.load("node")
    x = np.random.default_rng(1).normal(size=(50, 2))
    np.testing.assert_allclose(loaded.decision_function(x), detector.decision_function(x))
    assert model.detector == "subspace"


def test_old_versions_are_removed_but_never_a_named_one(registry: Registry, detector: Subspace) -> None:
    first = registry.publish(detector, "node", EXTRA)
    others = [registry.publish(detector, "node", EXTRA, alias=None).version for _ in range(4)]
    assert registry.prune("node", keep=2) == [others[1], others[0]]
    assert {m.version for m in registry.models("node")} == {first.version, *others[2:]}


def test_what_is_not_there_is_said_with_what_is(registry: Registry, detector: Subspace) -> None:
    with pytest.raises(RegistryError, match="foreshock train"):
        registry.get("node")
    registry.publish(detector, "node", EXTRA)
    with pytest.raises(RegistryError, match="did you mean 'champion'"):
        registry.get("node", "champoin")


def test_a_registry_shows_every_version_the_newest_first(registry: Registry, detector: Subspace) -> None:
    for alias in (CHAMPION, CHALLENGER):
        registry.publish(detector, "node", EXTRA, alias=alias)
    table = registry.to_pandas()
    assert table["aliases"].tolist() == [CHALLENGER, CHAMPION]
    assert set(table["detectors"]) == {"subspace"}
    assert "2 models of 1 jobs" in registry._repr_html_()


@pytest.mark.parametrize("uri", ["ftp://ada:hunter2@h/x", "gs://ada:hunter2@[x", "x://h/y?key=hunter2"])
def test_an_address_that_cannot_be_used_is_named_without_its_keys(uri: str) -> None:
    with pytest.raises(RegistryError) as caught:
        Registry(uri)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


ODD_NAMES = ["../x", "..", ".", "", "a/b", "/etc", "a\0b", ".hidden", "x" * 200, "a\nb", "a\\b", "%2e%2e", "a b"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_that_leads_out_of_the_registry_is_refused(
    registry: Registry, detector: Subspace, tmp_path: Path, name: str
) -> None:
    before = set(tmp_path.parent.iterdir())
    for ask in (
        registry.models, registry.get, registry.champion, registry.load, registry.promote, registry.rollback,
        registry.prune, lambda job: registry.publish(detector, job, EXTRA),
    ):  # fmt: skip
        with pytest.raises(RegistryError, match="is not a valid name of a job"):
            ask(name)
    with pytest.raises(RegistryError, match="is not a valid name of a alias"):
        registry.publish(detector, "node", EXTRA, alias=name)
    registry.publish(detector, "node", EXTRA)
    with pytest.raises(RegistryError, match="has no model"):
        registry.get("node", name)
    with pytest.raises(RegistryError, match="has no model"):
        registry.promote("node", name)
    assert registry.jobs() == ["node"]
    assert set(tmp_path.parent.iterdir()) == before


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{}", "[" * 100_000, '{"aliases": [], "history": []}', '{"aliases": {}, "history": {}}',
     '{"aliases": {"champion": "../../other"}, "history": []}', '{"aliases": {"champion": 1}, "history": []}',
     '{"aliases": {"champion": null}, "history": []}', '{"aliases": {}, "history": ["../x"]}',
     '{"aliases": {"../x": "v"}, "history": []}', " " * (2**20 + 1)],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_aliases_that_are_damaged_or_lead_elsewhere_are_one_error(
    registry: Registry, detector: Subspace, tmp_path: Path, text: str
) -> None:
    registry.publish(detector, "node", EXTRA)
    (tmp_path / "node" / "aliases.json").write_text(text)
    for ask in (registry.champion, registry.get, registry.models, registry.rollback):
        with pytest.raises(RegistryError, match=r"aliases\.json"):
            ask("node")


def test_a_folder_that_is_no_job_and_a_version_with_a_folder_in_it_end_nothing(
    registry: Registry, detector: Subspace, tmp_path: Path
) -> None:
    version = registry.publish(detector, "node", EXTRA).version
    (tmp_path / "not a job").mkdir()
    assert registry.jobs() == ["node"]
    (tmp_path / "node" / version / "inner").mkdir()
    with pytest.raises(ArtifactError):
        registry.load("node")


def test_a_root_that_is_no_folder_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    for ask in (Registry.jobs, Registry.to_pandas):
        with pytest.raises(RegistryError, match="the models cannot be listed"):
            ask(Registry(tmp_path / "models"))
