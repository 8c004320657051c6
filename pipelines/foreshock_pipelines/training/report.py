"""The report of a training."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from foreshock_models.display import frame_html

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TrainReport"]


@dataclass(frozen=True, repr=False)
class TrainReport:
    """Rows and entities that a model was trained on, its version, and its alerts on the held-back rows."""

    job: str
    version: str
    aliases: tuple[str, ...]
    start: datetime
    end: datetime
    rows: int
    entities: int
    features: tuple[str, ...]
    skipped: dict[str, str]
    empty_features: tuple[str, ...]
    detectors: list[dict[str, Any]] = field(default_factory=list)
    comparison: dict[str, Any] | None = None
    """The comparison with the champion, where the promotion policy asks for one."""
    partial: tuple[str, ...] = ()
    """Why the source's answers may have lacked rows."""
    distrusted: list[dict[str, Any]] = field(default_factory=list)
    """Stretches that looked like incidents, and were not learnt from."""
    alert_levels: list[dict[str, Any]] = field(default_factory=list)
    """For one entity, the value from which each feature would alert now."""

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**asdict(self), "start": self.start.isoformat(), "end": self.end.isoformat()}

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per detector: seconds to fit, alerts on the held-back rows beside those allowed."""
        import pandas as pd

        return pd.DataFrame(self.detectors)

    def __repr__(self) -> str:
        names = f" as {', '.join(self.aliases)}" if self.aliases else ""
        return (
            f"TrainReport({self.job!r}, version {self.version}{names}: {self.entities} entities, {self.rows} rows, "
            f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC)"
        )

    def _repr_html_(self) -> str:
        return frame_html(repr(self), self.to_pandas())
