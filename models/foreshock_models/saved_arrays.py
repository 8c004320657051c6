"""Arrays of a saved model, checked before compiled loops index them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from foreshock_models.errors import ArtifactError

__all__ = ["saved_array"]


def saved_array(
    arrays: Mapping[str, NDArray[Any]], name: str, shape: tuple[int | None, ...], dtype: DTypeLike = np.float64
) -> NDArray[Any]:
    """Return an array of a saved model.

    Parameters
    ----------
    shape
        Shape that it must have; None: any length.

    Raises
    ------
    ArtifactError
        It is missing, or of another shape or type: compiled loops would read beside it.
    """
    found = arrays.get(name)
    if found is None:
        raise ArtifactError(f"the saved model is damaged: {name} is missing")
    fits = len(found.shape) == len(shape) and all(b in (a, None) for a, b in zip(found.shape, shape, strict=True))
    if not fits or found.dtype != dtype:
        raise ArtifactError(
            f"the saved model is damaged: {name} is {found.dtype} of the shape {found.shape}, not "
            f"{np.dtype(dtype)} of ({', '.join('any' if n is None else str(n) for n in shape)})"
        )
    return found
