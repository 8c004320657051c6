"""Parameters by scikit-learn's conventions, so that its tools and PyOD's take what is here.

Not by its base class: to import that takes more than a second and 75 MB, which each process that scores would pay.
"""

from __future__ import annotations

import inspect
from typing import Any, Self

__all__ = ["Estimator"]


class Estimator:
    """Base of detectors and forecasters: what ``__init__`` takes is kept under the same names.

    Examples
    --------
    >>> class Level(Estimator):
    ...     def __init__(self, height=1.0, *, name="line"):
    ...         self.height = height
    ...         self.name = name
    >>> Level(name="limit").get_params()
    {'height': 1.0, 'name': 'limit'}
    >>> Level().set_params(height=2.0)
    Level(height=2.0)
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; with `deep`, those of parameters that have some, too, as ``outer__inner``."""
        params = {name: getattr(self, name) for name in _parameters(type(self))}
        if deep:
            for name, value in list(params.items()):
                if hasattr(value, "get_params") and not isinstance(value, type):
                    params |= {f"{name}__{inner}": own for inner, own in value.get_params().items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Change parameters; ValueError for one that does not exist."""
        known = _parameters(type(self))
        for name, value in params.items():
            outer, _, inner = name.partition("__")
            if outer not in known:
                raise ValueError(f"{type(self).__name__} has no parameter {outer!r}; it has {', '.join(known)}")
            if inner:
                getattr(self, outer).set_params(**{inner: value})
            else:
                setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """The parameters that are not as they are by default."""
        known = _parameters(type(self))
        params = self.get_params(deep=False).items()
        changed = [f"{k}={v!r}" for k, v in params if k not in known or repr(v) != repr(known[k].default)]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        """For scikit-learn's tools, which have loaded it."""
        from sklearn.base import BaseEstimator

        return BaseEstimator.__sklearn_tags__(self)


def _parameters(kind: type) -> dict[str, inspect.Parameter]:
    found = inspect.signature(kind).parameters
    return {name: p for name, p in found.items() if p.kind is not inspect.Parameter.VAR_KEYWORD}
