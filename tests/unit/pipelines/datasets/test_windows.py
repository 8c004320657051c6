"""What windows are made of, what is refused, and that memory is counted before it is taken."""

from __future__ import annotations

import resource
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshock_models.errors import DataError
from foreshock_pipelines.datasets import fill
from foreshock_pipelines.datasets.columns import to_ms
from foreshock_pipelines.datasets.windows import Windows

MINUTE = 60_000
START = 1_772_445_600_000


def two_rows(times: Any, **more: Any) -> Windows:
    values = {"cpu": [1.0, 2.0], "memory": [3.0, 4.0]}
    return Windows.build(times, {"instance": ["a", "a"]}, values, **{"step": 60.0, **more})


@pytest.mark.parametrize(
    "times",
    [
        [0, START],
        [START, START + 600_000 * MINUTE],
        [datetime(1, 1, 1, tzinfo=UTC).timestamp() * 1000, START],
        [START, 253_402_300_799_999],
        pa.array([0, START], pa.timestamp("ms", "UTC")),
        pd.to_datetime(["1970-01-01", "2026-03-02"]),
    ],
)
def test_two_times_far_apart_are_refused_before_the_gap_is_filled(times: Any) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=r"2 rows span [\d,]+ steps of 60 s"):
        two_rows(times)
    with pytest.raises(DataError, match=r"2 rows span [\d,]+ steps"):
        frame = pd.DataFrame({"timestamp": times, "instance": ["a", "a"], "cpu": [1.0, 2.0]})
        Windows.from_pandas(frame, entity=["instance"], step=60)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def test_the_gaps_of_all_entities_are_counted_together() -> None:
    names = [f"host-{i}" for i in range(2000)]
    times = [START + (i % 2) * 20_000 * MINUTE for i in range(2000)]
    with pytest.raises(DataError, match="2,000 rows span 40,002,000 steps"):
        Windows.build(times, {"instance": names}, {"cpu": [1.0] * 2000}, step=60)
    assert Windows.build(times[:20], {"instance": names[:20]}, {"cpu": [1.0] * 20}, step=60).n_rows == 20 * 20_001


@given(n_given=st.integers(1, 10**9), n_features=st.integers(1, 10**4), most=st.none() | st.integers(0, 10**9))
def test_more_given_rows_may_become_more_rows_and_never_more_values_than_allowed(
    n_given: int, n_features: int, most: int | None
) -> None:
    rows = fill.most_rows(n_given, n_features, most)
    assert rows <= fill.most_rows(n_given + 1, n_features, most)
    assert most is None or rows * (n_features + 1) <= most
    if most is None:
        assert rows >= n_given
        fill.check_rows(n_given, n_given, n_features, 60)
    fill.check_rows(rows, n_given, n_features, 60, most)
    with pytest.raises(DataError):
        fill.check_rows(rows + 1, n_given, n_features, 60, most)


@pytest.mark.parametrize(
    "times",
    [
        [START, None],
        [START, float("nan")],
        [START, float("inf")],
        [1e300, START],
        [-(2**63), 2**63 - 1],
        np.array([START, 2**64 - 1], np.uint64),
        [10**40, START],
        [True, False],
        ["2026-03-02T12:00:00Z", "noon"],
        [datetime(2026, 3, 2, tzinfo=UTC), pd.NaT],
        [[START], [START]],
        [[START], []],
        [{}, {}],
        pa.array([START, None], pa.timestamp("ms", "UTC")),
        pa.array([1.0, 2.0]),
        pa.array([[1], [2]]),
        pa.array([-(2**63), 2**63 - 1], pa.int64()).view(pa.timestamp("ms", "UTC")),
        pa.array([0, 2**62], pa.int64()).view(pa.timestamp("s", "UTC")),
        pa.array(["2026-03-02T12:00:00Z", "noon"]),
    ],
    ids=str,
)
def test_what_is_no_time_is_refused(times: Any) -> None:
    with pytest.raises(DataError, match="timestamps"):
        two_rows(times)


@pytest.mark.parametrize(
    "times",
    [
        [START, START + MINUTE],
        [float(START), START + 60_000.4],
        ["2026-03-02T10:00:00Z", "2026-03-02T10:01:00Z"],
        [datetime(2026, 3, 2, 10, tzinfo=UTC), datetime(2026, 3, 2, 11, 1, tzinfo=UTC) - timedelta(hours=1)],
        pa.array([START // 1000, START // 1000 + 60], pa.timestamp("s")),
        pd.Series(pd.to_datetime(["2026-03-02T10:00Z", "2026-03-02T10:01Z"])),
    ],
    ids=str,
)
def test_times_are_taken_in_every_usual_form(times: Any) -> None:
    assert to_ms(times).tolist() == [START, START + MINUTE]


@pytest.mark.parametrize(
    "labels", [["a", None], ["a", float("nan")], pa.array(["a", None]), pd.Series(["a", pd.NA])]
)
def test_a_label_that_is_null_is_refused(labels: Any) -> None:
    with pytest.raises(DataError, match="instance: a label is null"):
        Windows.build([START, START], {"instance": labels}, {"cpu": [1, 2]}, step=60)


@pytest.mark.parametrize(
    ("labels", "values"),
    [(["a"], [1.0, 2.0]), (["a", "b", "c"], [1.0, 2.0]), (["a", "b"], [1.0]), (["a", "b"], [[1.0], [2.0]]),
     (["a", "b"], ["x", "y"]), (pa.array([{"x": 1}] * 2), [1.0, 2.0])],
)  # fmt: skip
def test_columns_that_do_not_fit_are_refused(labels: Any, values: Any) -> None:
    with pytest.raises(DataError):
        Windows.build([START, START], {"instance": labels}, {"cpu": values}, step=60)


@pytest.mark.parametrize("step", [0, -1, float("nan"), float("inf"), 0.0004, 1e12])
def test_a_step_that_is_none_is_refused(step: float) -> None:
    with pytest.raises(DataError, match="step"):
        two_rows([START, START + MINUTE], step=step)


def test_a_frame_with_a_column_twice_or_without_a_label_is_refused() -> None:
    frame = pd.DataFrame([[START, 1.0, 2.0]], columns=["timestamp", "cpu", "cpu"])
    with pytest.raises(DataError, match="'cpu' is there twice"):
        Windows.from_pandas(frame, step=60)
    with pytest.raises(DataError, match="'instance' is not a column"):
        Windows.from_pandas(frame.iloc[:, :2], entity=["instance"], step=60)


def test_one_long_label_costs_only_its_own_length() -> None:
    """An array of fixed width would take 3 GB."""
    names = [f"host-{i}" for i in range(2000)] + ["SELECT " + "x," * 200_000]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    windows = Windows.build([START] * 2001, {"instance": names}, {"cpu": [1.0] * 2001}, step=60)
    again = Windows.dense({"instance": sorted(names)}, {"cpu": np.ones(2001)}, first=START, n_steps=1, step=60)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
    assert windows.entities == again.entities == tuple(sorted(names))


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1, max_size=20)
)
def test_entities_stand_in_the_order_of_their_names_whatever_they_are_made_of(names: list[str]) -> None:
    """Without NUL, at which pandas ends a category."""
    expected = tuple(sorted(set(names)))
    parts = [pa.array(names[i::2], pa.string()) for i in (0, 1)]  # as Arrow makes of texts that are long together
    for labels in (
        names, pa.array(names), pa.array(names).dictionary_encode(), pd.Series(names, dtype="category"),
        pa.chunked_array(parts), pa.chunked_array([part.dictionary_encode() for part in parts]),
    ):  # fmt: skip
        windows = Windows.build([START] * len(names), {"instance": labels}, {"cpu": [1.0] * len(names)}, step=60)
        assert windows.entities == expected
