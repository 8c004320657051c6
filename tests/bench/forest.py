"""Row 2: Isolation Forest beside PyOD's, on the same trees, and as the whole detector."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from pyod.models.iforest import IForest as Peer
from tests.bench.harness import Row, Size, at_least, race, seconds
from tests.bench.inputs import fleet

from foreshock_models.detectors import IForest
from foreshock_models.detectors._trees import Forest, flatten, score_forests

__all__ = ["rows"]


def rows(size: Size) -> Iterator[Row]:
    panel = fleet(10, 2.1).to_panel()
    x = np.nan_to_num((panel.values - np.nanmean(panel.values, 0)) / np.nanstd(panel.values, 0))
    many = size.of(20_000, 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = Peer(random_state=0).fit(x[:8000])
    forest = flatten([peer.detector_])
    x32 = x[:many].astype(np.float32)
    _same(peer, forest, x, x32)
    for n, goal in ((1, 200.0), (many, 2.0)):
        ours32, theirs = np.ascontiguousarray(x32[None, :n]), x[:n]
        yield _row(
            f"same {len(forest.roots[0])} trees, {n:,} row{'s' * (n > 1)}",
            race(
                {
                    "ours": lambda a=ours32: score_forests(forest, a),
                    "peer": lambda b=theirs: peer.decision_function(b),
                }
            ),
            goal,
        )
    ours = IForest(random_state=0).fit(panel)
    context = ours.context
    one = panel.rows(1000 - context, 1001)
    last = int(one.timestamps[-1])
    rest = panel.take(np.arange(panel.n_rows) < many)
    yield _row(
        "the detector, one row with its context, calibrated",
        race({"ours": lambda: ours.score(one, since=last), "peer": lambda: peer.decision_function(x[1000:1001])}),
        None,
    )
    yield _row(
        f"the detector, {many:,} rows",
        race({"ours": lambda: ours.decision_function(rest), "peer": lambda: peer.decision_function(x[:many])}),
        None,
    )


def _same(peer: Peer, forest: Forest, x: np.ndarray, x32: np.ndarray) -> None:
    """Ours and the peer's scores are the same numbers (scikit-learn gives -score, shifted by 0.5)."""
    theirs = peer.detector_.score_samples(x[: len(x32)])
    np.testing.assert_allclose(score_forests(forest, x32[None])[:, 0], -theirs, rtol=1e-9)


def _row(what: str, times: object, goal: float | None) -> Row:
    ratio = times.ratio("peer", "ours")  # type: ignore[attr-defined]
    text, met = ("", None) if goal is None else at_least(goal, ratio)
    ours, peer = (times.median(name) for name in ("ours", "peer"))  # type: ignore[attr-defined]
    return Row(
        f"iforest: {what}",
        seconds(ours),
        f"PyOD {seconds(peer)}",
        ratio,
        text,
        met,
        {"ours_s": ours, "peer_s": peer},
    )
