"""Choose: which of the settings that a search found take the place of the defaults.

The best of many trials is also the luckiest one. So it is compared with the defaults again, on exams that the
search did not see, where there are others; and what counts is what the whole model gains there, for that is what
will serve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from foreshock_models.detectors import Detector
from foreshock_pipelines.jobs.judge import CLEARLY, Gain, Judge, Members

__all__ = ["Choice", "choose", "pick_members"]


@dataclass(frozen=True)
class Choice:
    """The detectors that were chosen, their mark beside that of all defaults, and why some keep theirs.

    ``taken``: the names of those with the settings that were found.
    """

    members: dict[str, Detector]
    taken: tuple[str, ...]
    mark: float
    default_mark: float
    notes: list[str]


def choose(defaults: Members, found: Members, judge: Judge, most: int | None = None) -> Choice:
    """Take what was `found` for a detector in place of its default where that makes the whole model clearly better.

    Parameters
    ----------
    found
        Only those with settings other than the defaults.
    judge
        On other exams than the search saw, where there are others.
    most
        So many of them at most; those that gain most come first. Default: all.
    """
    members, taken = dict(defaults), list[str]()
    left, gains = dict(found), {name: judge.gain(members, {**members, name: found[name]}) for name in found}
    while (clear := [name for name in left if gains[name].clear]) and len(taken) != most:
        best = max(clear, key=lambda name: gains[name].mean)
        members[best] = left.pop(best)
        taken.append(best)
        gains |= {name: judge.gain(members, {**members, name: left[name]}) for name in left}
    notes = [_why_not(name, gains[name], taken) for name in left]
    return Choice(members, tuple(taken), judge.mark(members), judge.mark(defaults), notes)


def _why_not(name: str, gained: Gain, taken: Sequence[str]) -> str:
    beside = f" beside the new ones of {' and '.join(taken)}" if taken else ""
    if gained.clear:
        return f"{name} keeps its defaults: no more than {len(taken)} of the detectors may change at a time"
    return (
        f"{name} keeps its defaults: the best setting gains {gained.mean:+.3f} average precision{beside}, "
        f"where up to {gained.chance:.3f} may be chance or say nothing"
    )


def pick_members(choice: Choice, judge: Judge) -> Choice:
    """Begin with the best detector, add those that make the model better; all of them if that is as good."""
    alone = {name: judge.mark({name: member}) for name, member in choice.members.items()}
    order = sorted(alone, key=lambda name: -alone[name])
    kept, best = order[:1], alone[order[0]]
    for name in order[1:]:
        mark = judge.mark({n: member for n, member in choice.members.items() if n in {*kept, name}})
        if mark > best:
            kept, best = [*kept, name], mark
    if best <= (1 + CLEARLY) * choice.mark:
        return choice
    return replace(choice, members={n: m for n, m in choice.members.items() if n in kept}, mark=best)
