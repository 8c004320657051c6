"""How detectors appear in notebooks: one line, a table of facts, and the figure of one explained row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from foreshock_models.display import facts_html
from foreshock_models.estimator import Estimator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from foreshock_models.explain.figure import Explains

__all__ = ["NotebookDisplay"]


class NotebookDisplay(Estimator):
    """Representations of a detector for people."""

    def __repr__(self) -> str:
        """The parameters, and the rows that the detector was fitted on."""
        text = super().__repr__()
        if not hasattr(self, "features_in_"):
            return text
        facts = self._facts()
        return f"{text}, fitted on {facts['entities']} entities x {len(self.features_in_)} features"

    def _repr_html_(self) -> str:
        return facts_html(repr(self), self._facts())

    def plot_explanation(
        self: Explains, X: Any, row: int | None = None, *, entities: ArrayLike | None = None
    ) -> Figure:
        """Plot the attributions of one row, with observed and usual values, as a matplotlib figure.

        Parameters
        ----------
        row
            Number of the row; default: the one with the highest raw score.
        """
        from foreshock_models.explain.figure import plot_row

        return plot_row(self, X, row, entities=entities)

    def _facts(self) -> dict[str, Any]:
        """Facts that a person wants to know of a fitted detector."""
        return {}
