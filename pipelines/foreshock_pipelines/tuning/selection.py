"""Select which of the settings that a search found replace the defaults.

The best of many trials is also the luckiest one. So it is compared with the defaults again, on evaluation sets that
the search did not see, where there are others; and the criterion is the gain of the whole model, which will serve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from foreshock_models.detectors import Detector
from foreshock_pipelines.evaluation.evaluator import MIN_GAIN, Evaluator, Improvement, Members

__all__ = ["Selection", "adopt_improvements", "select_members"]


@dataclass(frozen=True)
class Selection:
    """The selected detectors, their average precision beside that of all defaults, and why some keep theirs.

    ``adopted``: names of the detectors that take the settings that were found.
    """

    members: dict[str, Detector]
    adopted: tuple[str, ...]
    auc_pr: float
    default_auc_pr: float
    notes: list[str]


def adopt_improvements(
    defaults: Members, found: Members, evaluator: Evaluator, limit: int | None = None
) -> Selection:
    """Adopt what was `found` for a detector in place of its default where that improves the whole model.

    Parameters
    ----------
    found
        Only detectors with settings other than the defaults.
    evaluator
        On other evaluation sets than the search saw, where there are others.
    limit
        Adopt at most so many, those with the largest gain first. Default: all.
    """
    members, adopted = dict(defaults), list[str]()
    left = dict(found)
    gains = {name: evaluator.improvement(members, {**members, name: found[name]}) for name in found}
    while (better := [name for name in left if gains[name].significant]) and len(adopted) != limit:
        best = max(better, key=lambda name: gains[name].mean)
        members[best] = left.pop(best)
        adopted.append(best)
        gains |= {name: evaluator.improvement(members, {**members, name: left[name]}) for name in left}
    notes = [_reason(name, gains[name], adopted) for name in left]
    after, before = evaluator.average_precision(members), evaluator.average_precision(defaults)
    return Selection(members, tuple(adopted), after, before, notes)


def _reason(name: str, gain: Improvement, adopted: Sequence[str]) -> str:
    beside = f" beside the new ones of {' and '.join(adopted)}" if adopted else ""
    if gain.significant:
        return f"{name} keeps its defaults: no more than {len(adopted)} of the detectors may change at a time"
    return (
        f"{name} keeps its defaults: the best setting gains {gain.mean:+.3f} average precision{beside}, "
        f"where up to {gain.threshold:.3f} may be chance or say nothing"
    )


def select_members(selection: Selection, evaluator: Evaluator) -> Selection:
    """Start with the best detector and add those that improve the model; keep all of them if that is as good."""
    alone = {name: evaluator.average_precision({name: member}) for name, member in selection.members.items()}
    order = sorted(alone, key=lambda name: -alone[name])
    kept, best = order[:1], alone[order[0]]
    for name in order[1:]:
        with_it = {n: member for n, member in selection.members.items() if n in {*kept, name}}
        if (auc_pr := evaluator.average_precision(with_it)) > best:
            kept, best = [*kept, name], auc_pr
    if best <= (1 + MIN_GAIN) * selection.auc_pr:
        return selection
    return replace(selection, members={n: m for n, m in selection.members.items() if n in kept}, auc_pr=best)
