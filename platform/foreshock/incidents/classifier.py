"""Classes of incidents from their text: by the descriptions of classes at first, then by what people correct.

Logistic regression on sentence embeddings where they are installed, else on TF-IDF. The descriptions are training
texts like others; what people said counts more. The model is made again from the store when they have said more, so
that nothing is saved and nothing is unpickled.
Probabilities are calibrated by a temperature, found on texts that the model has not seen. Below a confidence, the
classifier abstains.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foreshock.incidents.embedding import Embedder

__all__ = ["DEFAULT_CLASSES", "Classified", "IncidentClassifier"]

DEFAULT_CLASSES: Mapping[str, str] = {
    "deployment": "deployment release rollout rollback configuration config change flag migration version upgrade "
    "pushed deploy bug code commit misconfigured setting",
    "capacity": "capacity overload saturation cpu memory leak disk full out of space quota limit exhausted queue "
    "traffic spike load too many connections threads pool",
    "dependency": "dependency upstream downstream provider third party service api vendor outage database cache "
    "backend timeout retry cascading failure",
    "network": "network dns packet loss latency routing bgp link switch load balancer connection refused partition "
    "firewall bandwidth",
    "hardware": "hardware disk failure power supply machine host server died reboot memory error raid fan "
    "temperature datacenter",
    "security": "security attack breach leaked token credential unauthorized access vulnerability exploit ddos "
    "malicious permission",
    "data": "data corruption lost records inconsistent wrong values schema backup restore replication duplicate "
    "missing rows",
    "time": "certificate expired expiry tls ssl time clock leap second timezone daylight ntp date",
}
"""Name to description; those of the field."""
ABSTAIN_BELOW = 0.5
ENOUGH = 20
"""Corrections from which on a temperature is found; fewer say too little."""
FIRST_TEMPERATURES = {"tfidf": 0.35, "embeddings": 0.1}
"""Of the descriptions alone: logits of so little text are small."""
STRENGTHS = {"tfidf": 10.0, "embeddings": 1.0}
"""Inverse strength of regularisation."""
LEAST_COSINES = {"tfidf": 0.05, "embeddings": 0.3}
"""Likeness from which on two texts are called alike: vectors of sentences are never quite apart."""
FOLDS = 5
TEMPERATURES = np.geomspace(0.1, 10.0, 41)


@dataclass(frozen=True, slots=True)
class Classified:
    """The most likely class and its probability; `label` is None where it abstains."""

    label: str | None
    confidence: float
    likely: str


class IncidentClassifier:
    """Classifies texts.

    Parameters
    ----------
    classes
        Name to description.
    abstain_below
        Probability under which no class is given.
    embedder
        Makes vectors of texts; None: TF-IDF does.
    """

    def __init__(
        self,
        classes: Mapping[str, str] | None = None,
        abstain_below: float = ABSTAIN_BELOW,
        embedder: Embedder | None = None,
    ) -> None:
        self.classes = dict(classes or DEFAULT_CLASSES)
        self.abstain_below = abstain_below
        self.embedder = embedder
        self.vectors = "tfidf" if embedder is None else "embeddings"
        self.temperature = FIRST_TEMPERATURES[self.vectors]
        self._model: Any = None
        self._vectors: Any = None

    def fit(self, texts: Sequence[str] = (), labels: Sequence[str] = ()) -> IncidentClassifier:
        """Learn from texts that people gave a class; without any, from the descriptions alone."""
        if len(texts) != len(labels):
            raise ValueError(f"{len(texts)} texts, but {len(labels)} labels")
        known = Counter(labels)
        if len(texts) >= ENOUGH and len(known) > 1:
            self.temperature = self._found_temperature(list(texts), list(labels))
        self._vectors, self._model = self._fitted(texts, labels)
        return self

    def predict(self, text: str) -> Classified:
        """Classify one text."""
        if self._model is None:
            self.fit()
        shares = _softmax(_logits(self._model, self._vectors.transform([text])) / self.temperature)[0]
        best = int(np.argmax(shares))
        likely, confidence = str(self._model.classes_[best]), float(shares[best])
        return Classified(likely if confidence >= self.abstain_below else None, confidence, likely)

    def similar(self, text: str, others: Sequence[str], most: int = 3) -> list[tuple[int, float]]:
        """Return the places of the most similar other texts, with cosines, the most similar one first."""
        if self._vectors is None:
            self.fit()
        if not others:
            return []
        products = self._vectors.transform(others) @ self._vectors.transform([text]).T
        cosines = np.asarray(products.todense() if hasattr(products, "todense") else products)[:, 0]
        order = np.argsort(-cosines, kind="stable")[:most]
        least = LEAST_COSINES[self.vectors]
        return [(int(i), float(cosines[i])) for i in order if cosines[i] > least]

    def _fitted(self, texts: Sequence[str], labels: Sequence[str]) -> tuple[Any, Any]:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        all_texts = [*self.classes.values(), *texts]
        all_labels = [*self.classes, *labels]
        weights = np.r_[np.full(len(self.classes), 1.0), np.full(len(texts), 2.0)]
        vectors: Any = TfidfVectorizer(
            sublinear_tf=True, stop_words="english", ngram_range=(1, 2), max_features=50_000
        )
        if self.embedder is not None:
            vectors = _Embedded(self.embedder)
        model = LogisticRegression(C=STRENGTHS[self.vectors], class_weight="balanced", max_iter=1000)
        model.fit(vectors.fit_transform(all_texts), all_labels, sample_weight=weights)
        return vectors, model

    def _found_temperature(self, texts: list[str], labels: list[str]) -> float:
        """Return the temperature with the best likelihood on texts that were held out."""
        fold = np.arange(len(texts)) % FOLDS
        logits: list[NDArray[np.float64]] = []
        truth: list[int] = []
        for k in range(FOLDS):
            kept = [i for i in range(len(texts)) if fold[i] != k]
            out = [i for i in range(len(texts)) if fold[i] == k]
            vectors, model = self._fitted([texts[i] for i in kept], [labels[i] for i in kept])
            names = list(model.classes_)
            out = [i for i in out if labels[i] in names]
            if out:
                logits.append(_logits(model, vectors.transform([texts[i] for i in out])))
                truth += [names.index(labels[i]) for i in out]
        width = max(part.shape[1] for part in logits)
        whole = np.vstack([np.pad(p, ((0, 0), (0, width - p.shape[1])), constant_values=-np.inf) for p in logits])
        at = (np.arange(len(truth)), np.array(truth))
        losses = [-np.mean(np.log(np.maximum(_softmax(whole / t)[at], 1e-12))) for t in TEMPERATURES]
        return float(TEMPERATURES[int(np.argmin(losses))])


@dataclass(frozen=True, slots=True)
class _Embedded:
    """An embedder in the shape of a vectorizer; it learns nothing from texts."""

    embedder: Embedder

    def fit_transform(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return self.embedder.embed(texts)

    def transform(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return self.embedder.embed(texts)


def _logits(model: Any, vectors: Any) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.asarray(model.decision_function(vectors), dtype=np.float64)
    return np.c_[-found, found] / 2 if found.ndim == 1 else found  # two classes have one number


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
    return found
