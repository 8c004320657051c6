"""The report of a scoring pass; readers need not load the code that scores."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foreshock_pipelines.scoring.scored_rows import ScoredRows

__all__ = ["PassReport", "WriteStats"]


@dataclass(frozen=True, slots=True)
class WriteStats:
    """Counted in samples; `failures` in requests. All but `waiting` since this writer began."""

    waiting: int = 0
    written: int = 0
    refused: int = 0
    dropped: int = 0
    failures: int = 0


@dataclass(frozen=True)
class PassReport:
    """The result of a pass.

    Attributes
    ----------
    rows, late : scored rows over all entities, and how many of them lay before the span of the pass
    changes : alerts that changed
    stages : seconds of each: ``fetch``, ``score``, ``explain``, and ``store``, which is the alert actor's part:
        policy, alerts, outbox, where scoring stands
    trained_ms : when the model was made
    write : of the writer, since this worker began; None if scores are not written
    partial : why the source's answers may have lacked rows
    """

    job: str
    version: str | None
    scored_ms: int
    rows: int = 0
    late: int = 0
    changes: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    trained_ms: int | None = None
    write: WriteStats | None = None
    partial: tuple[str, ...] = ()

    def after(
        self, span: tuple[int, int], scored: ScoredRows, changes: list[dict[str, Any]], stored: float
    ) -> PassReport:
        """This, and a stretch that was taken; it took `stored` seconds to do so."""
        stages = {name: self.stages.get(name, 0.0) + s for name, s in {**scored.seconds, "store": stored}.items()}
        late = int((scored.panel.timestamps < span[0]).sum())
        return replace(
            self, scored_ms=span[1], rows=self.rows + scored.panel.n_rows, late=self.late + late,
            changes=[*self.changes, *changes], stages=stages,
            partial=tuple(dict.fromkeys([*self.partial, *scored.partial])),
        )  # fmt: skip
