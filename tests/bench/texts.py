"""Classes of incidents from their texts, five-fold, beside simple rules: post-mortems with several classes each.

``make bench-incident-texts`` (``DATA=folder``) reads ``incident_texts``. Each class is a yes or no for each text;
macro F1 is the mean over classes.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.multiclass import OneVsRestClassifier

from foreshock.incidents.classifier import IncidentClassifier
from foreshock.incidents.embedding import Embedder, installed_embedder

FOLDS = 5
REPEATS = 3
Method = Callable[[Any, Any, Any], Any]


def majority(train: Any, truth: Any, test: Any) -> np.ndarray[Any, Any]:
    """Each class that most texts have."""
    return np.tile(truth.mean(axis=0) >= 0.5, (len(test), 1))


def tfidf(train: Any, truth: Any, test: Any) -> np.ndarray[Any, Any]:
    """TF-IDF and logistic regression, one for each class."""
    vectors = TfidfVectorizer(sublinear_tf=True, stop_words="english", ngram_range=(1, 2))
    model = OneVsRestClassifier(LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000))
    model.fit(vectors.fit_transform(train), truth)
    found: np.ndarray[Any, Any] = model.predict(vectors.transform(test)).astype(bool)
    return found


def embedded(train: Any, truth: Any, test: Any) -> np.ndarray[Any, Any]:
    """Sentence embeddings and logistic regression, one for each class."""
    embedder = installed_embedder()
    assert embedder is not None
    model = OneVsRestClassifier(LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000))
    model.fit(embedder.embed(train), truth)
    found: np.ndarray[Any, Any] = model.predict(embedder.embed(test)).astype(bool)
    return found


def everything(train: Any, truth: Any, test: Any) -> np.ndarray[Any, Any]:
    """Each class of each text: what a high recall alone is worth."""
    return np.ones((len(test), truth.shape[1]), bool)


def foreshock_classes(
    train: Any, truth: Any, test: Any, names: list[str], embedder: Embedder | None
) -> np.ndarray[Any, Any]:
    """Foreshock's classifier, asked of each class whether it is there."""
    found = []
    for j, name in enumerate(names):
        classes = {"yes": name.replace("-", " "), "no": "incident outage"}
        labels = ["yes" if row[j] else "no" for row in truth]
        model = IncidentClassifier(classes, 0.0, embedder).fit(train, labels)
        found.append([model.predict(text).likely == "yes" for text in test])
    return np.array(found).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    table = pd.read_parquet(options.data / "incident_texts" / "postmortems.parquet")
    names = sorted({name for row in table.classes for name in row})
    truth = np.array([[name in row for name in names] for row in table.classes])
    rows = zip(table.title, table.summary, table.text, strict=True)
    texts = np.array([" ".join(part or "" for part in row) for row in rows])
    print(f"{len(texts)} texts, {len(names)} classes, {FOLDS}-fold, mean of {REPEATS} divisions")
    print(f"{'method':22} {'macro F1':>9} {'micro F1':>9}")
    methods: dict[str, Method] = {
        "majority": majority, "all classes": everything, "TF-IDF alone": tfidf,
        "foreshock, TF-IDF": lambda a, b, c: foreshock_classes(a, b, c, names, None),
    }  # fmt: skip
    embedder = installed_embedder()
    if embedder is None:
        print("sentence embeddings: not installed, see the extra `embeddings`")
    else:
        methods["embeddings alone"] = embedded
        methods["foreshock, embeddings"] = lambda a, b, c: foreshock_classes(a, b, c, names, embedder)
    for name, method in methods.items():
        scores = np.mean([judged(method, texts, truth, seed) for seed in range(REPEATS)], axis=0)
        print(f"{name:22} {scores[0]:9.3f} {scores[1]:9.3f}")


def judged(method: Method, texts: Any, truth: Any, seed: int) -> tuple[float, float]:
    """Macro and micro F1 over one division into folds."""
    fold = np.random.default_rng(seed).permutation(len(texts)) % FOLDS
    found = np.zeros_like(truth)
    for k in range(FOLDS):
        train, test = fold != k, fold == k
        found[test] = method(texts[train], truth[train], texts[test])
    macro, micro = (f1_score(truth, found, average=how, zero_division=0) for how in ("macro", "micro"))
    return float(macro), float(micro)


if __name__ == "__main__":
    main()
