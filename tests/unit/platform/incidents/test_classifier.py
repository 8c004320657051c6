"""Classes of incidents, and incidents like others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from foreshock.incidents.class_assignment import ClassAssignment, like
from foreshock.incidents.classifier import DEFAULT_CLASSES, IncidentClassifier
from foreshock.incidents.embedding import Embedder, installed_embedder
from foreshock.incidents.view import whole

CAUSES = {
    "deployment": ["the release was rolled back", "a config change broke the login", "the new version crashed"],
    "capacity": ["the disk was full", "too many connections in the pool", "memory leak until the limit"],
    "network": ["packet loss on the link", "dns did not resolve", "the switch dropped packets"],
}


@pytest.fixture(params=["tfidf", "embeddings"])
def embedder(request: pytest.FixtureRequest) -> Embedder | None:
    """Both ways to make vectors of texts; embeddings are an extra."""
    if request.param == "tfidf":
        return None
    found = installed_embedder()
    if found is None:
        pytest.skip("the extra `embeddings` is not installed")
    return found


def texts(n: int, seed: int = 0) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    labels = [str(label) for label in rng.choice(sorted(CAUSES), n)]
    return [f"{rng.choice(CAUSES[label])} at {rng.integers(99)}" for label in labels], labels


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("the tls certificate of the api expired", "time"), ("a leaked token gave unauthorized access", "security"),
        ("the disk is full, quota exhausted", "capacity"),
        ("rollback of the release after the config change", "deployment"),
    ],
)  # fmt: skip
def test_classes_are_told_from_their_descriptions_before_anybody_has_said_anything(
    text: str, label: str, embedder: Embedder | None
) -> None:
    assert IncidentClassifier(embedder=embedder).predict(text).label == label


def test_it_abstains_where_the_text_says_nothing(embedder: Embedder | None) -> None:
    found = IncidentClassifier(embedder=embedder).predict("something odd happened to the teapot")
    assert found.label is None and found.confidence < 0.5


def test_what_people_correct_is_learnt(embedder: Embedder | None) -> None:
    text = "frobnicator of shard nine"
    assert IncidentClassifier(embedder=embedder).predict(text).label is None
    known = [f"frobnicator of shard {i}" for i in range(6)]
    assert IncidentClassifier(embedder=embedder).fit(known, ["hardware"] * 6).predict(text).label == "hardware"


def test_a_class_of_ones_own_is_one_like_others(embedder: Embedder | None) -> None:
    classes = {**DEFAULT_CLASSES, "teapot": "teapot kettle boiling tea"}
    assert (
        IncidentClassifier(classes, embedder=embedder).predict("the kettle and the teapot are boiling").label
        == "teapot"
    )


def test_probabilities_are_calibrated_on_texts_that_were_held_out(embedder: Embedder | None) -> None:
    known, labels = texts(200)
    flipped = [label if i % 5 else "network" for i, label in enumerate(labels)]  # people err, too
    model = IncidentClassifier(embedder=embedder).fit(known[:150], flipped[:150])
    found = [model.predict(text) for text in known[150:]]
    right = np.mean([f.likely == label for f, label in zip(found, flipped[150:], strict=True)])
    assert abs(float(np.mean([f.confidence for f in found])) - right) < 0.15


def test_live_incidents_get_a_class_until_a_person_says_otherwise(house: Any, embedder: Embedder | None) -> None:
    house.alert("db", summary="disk full: quota exhausted, out of space, capacity limit")
    house.gather()
    classifying = ClassAssignment(house.store, lambda: DEFAULT_CLASSES, embedder=lambda: embedder)
    assert classifying.run(10) == 1
    incident = house.incidents.list().incidents[0]
    assert (incident.kind, incident.kind_by) == ("capacity", "foreshock")
    house.people.classify(incident.id, "hardware", who="anna", now_ms=20)
    assert classifying.run(100_000) == 0
    assert house.incidents.get(incident.id).kind == "hardware"


def test_an_incident_names_those_like_it_and_what_helped_then(house: Any) -> None:
    for name, why in (("db", "made room on the disk"), ("queue", "restarted the consumer")):
        house.alert(name, summary=f"{name} disk full" if name == "db" else "queue grows")
        house.gather()
        house.people.resolve(house.incidents.list().incidents[0].id, who="anna", why=why, now_ms=5)
    house.alert("db-2", 300, summary="db disk full again")
    house.gather()
    similar = whole(house.incidents, house.incidents.list().incidents[0].id, "")["similar"]
    assert (similar[0]["title"], similar[0]["what_helped"]) == ("db disk full", "made room on the disk")


def test_incidents_are_compared_by_meaning_where_embeddings_are_installed(house: Any) -> None:
    embedder = installed_embedder()
    if embedder is None:
        pytest.skip("the extra `embeddings` is not installed")
    for minute, (name, summary) in enumerate(
        [("a", "the db ran out of disk space"), ("b", "db certificate expired, tls handshake fails")]
    ):
        house.alert(name, minute * 300, summary=summary)
        house.gather()
        house.people.resolve(house.incidents.list().incidents[0].id, who="anna", now_ms=5)
    house.alert("c", 1000, summary="db volume is full, no room left on it")
    house.gather()
    incident = house.incidents.list().incidents[0]
    assert like(house.incidents, incident, embedder)[0]["title"] == "the db ran out of disk space"


def test_a_long_text_is_the_mean_of_its_stretches_and_an_empty_one_has_a_vector() -> None:
    embedder = installed_embedder()
    if embedder is None:
        pytest.skip("the extra `embeddings` is not installed")
    long, full, expired, empty = embedder.embed(
        ["The disk of the database ran full. " * 60, "no disk space left", "the certificate expired", ""]
    )
    assert np.linalg.norm([long, full, expired, empty], axis=1) == pytest.approx(1.0)
    assert long @ full > 2 * (long @ expired)
