"""An Arrow stream becomes windows or one DataError: whatever it says of itself, nothing else happens."""

from __future__ import annotations

import io
import random
import resource
import struct
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from foreshock.api.bodies import arrow_windows
from foreshock_models.errors import DataError
from foreshock_pipelines.datasets.fill import MOST_VALUES
from foreshock_pipelines.datasets.windows import Windows

START = 1_772_445_600_000
ROWS = 12
SERVED: Any = SimpleNamespace(
    labels=("instance",), step=60.0, detector=SimpleNamespace(features_in_=("cpu", "memory"))
)
HOSTS = [f"host-{i % 3}" for i in range(ROWS)]
DICTIONARY = pa.array(HOSTS).dictionary_encode()


def table(rows: int = ROWS, **changed: Any) -> pa.Table:
    columns = {
        "timestamp": pa.array(START + np.arange(rows) * 60_000).cast(pa.timestamp("ms", "UTC")),
        "instance": pa.array(HOSTS[:rows] if rows <= ROWS else ["host-0"] * rows, pa.string()),
        "cpu": pa.array(np.linspace(0, 1, rows)),
        "memory": pa.array(np.full(rows, 0.5)),
    }
    return pa.table({name: column for name, column in {**columns, **changed}.items() if column is not None})


def stream(one: pa.Table, *, compression: str | None = None, chunk: int | None = None) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, one.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(one, max_chunksize=chunk)
    return sink.getvalue()


def refused(data: bytes, text: str = ".") -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=text):
        arrow_windows(SERVED, data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


def int32(*values: int) -> bytes:
    return np.array(values, np.int32).tobytes()


def replaced(data: bytes, old: bytes, new: bytes, *, last: bool = False) -> bytes:
    """The stream with other bytes in one place."""
    at = data.rindex(old) if last else data.index(old)
    return data[:at] + new + data[at + len(old) :]


PLAIN = arrow_windows(SERVED, stream(table()))
GOOD: dict[str, tuple[pa.Table, dict[str, Any]]] = {
    "several batches": (table(), {"chunk": 5}),
    "lz4": (table(), {"compression": "lz4"}),
    "zstd, several batches": (table(), {"compression": "zstd", "chunk": 5}),
    "a dictionary": (table(instance=DICTIONARY), {}),
    "a dictionary with 8 bits": (table(instance=DICTIONARY.cast(pa.dictionary(pa.int8(), pa.string()))), {}),
    "compressed dictionaries": (table(instance=DICTIONARY), {"compression": "zstd"}),
    "large strings": (table(instance=pa.array(HOSTS, pa.large_string())), {}),
    "string views": (table(instance=pa.array(HOSTS, pa.string_view())), {}),
    "seconds": (table(timestamp=pa.array(START // 1000 + np.arange(ROWS) * 60).cast(pa.timestamp("s"))), {}),
    "integers as times": (table(timestamp=pa.array(START + np.arange(ROWS) * 60_000)), {}),
    "text as times": (table(timestamp=table().column("timestamp").cast(pa.string())), {}),
    "a dictionary of numbers": (table(memory=pa.array([0.5] * ROWS).dictionary_encode()), {}),
    "half precision": (table(memory=pa.array(np.full(ROWS, 0.5, np.float16))), {}),
    "decimals": (table(memory=pa.array([0.5] * ROWS).cast(pa.decimal128(3, 1))), {}),
    "columns that nobody needs": (table(more=pa.array([{"a": [1]}] * ROWS), text=pa.array(["x"] * ROWS)), {}),
}


@pytest.mark.parametrize("name", GOOD)
def test_the_same_windows_come_in_many_forms(name: str) -> None:
    one, options = GOOD[name]
    assert arrow_windows(SERVED, stream(one, **options)) == PLAIN


def test_dictionaries_that_differ_from_batch_to_batch_are_joined() -> None:
    sink = io.BytesIO()
    kind = pa.dictionary(pa.int8(), pa.string())
    parts = [[f"host-{i}" for i in range(100 * n, 100 * n + 100)] for n in range(3)]
    tables = [
        table(100, instance=pa.array(names).dictionary_encode().cast(kind), cpu=pa.array([1.0] * 100))
        for names in parts
    ]
    with pa.ipc.new_stream(sink, tables[0].schema) as writer:
        for one in tables:
            writer.write_table(one)
    windows = arrow_windows(SERVED, sink.getvalue())
    assert windows.entities == tuple(sorted(name for names in parts for name in names))


def test_nulls_are_gaps_and_large_integers_are_rounded_as_in_json() -> None:
    values = [2**63 - 1, -(2**63), None] + [1] * (ROWS - 3)
    windows = arrow_windows(SERVED, stream(table(instance=pa.array(["a"] * ROWS), cpu=pa.array(values))))
    assert windows.to_panel().values[:3, 0].tolist()[:2] == [2.0**63, -(2.0**63)]
    assert np.isnan(windows.to_panel().values[2, 0])
    nothing = arrow_windows(SERVED, stream(table(cpu=pa.nulls(ROWS))))
    assert np.isnan(nothing.to_panel().values[:, 0]).all()


TYPES: dict[str, tuple[dict[str, Any], str]] = {
    "a time is null": ({"timestamp": pa.array([START] * (ROWS - 1) + [None], pa.timestamp("ms"))}, "null"),
    "a label is null": ({"instance": pa.array(["a"] * (ROWS - 1) + [None])}, "null"),
    "a label is null in its dictionary": (
        {"instance": pa.DictionaryArray.from_arrays(pa.array([0] * ROWS), pa.array([None], pa.string()))}, "null",
    ),
    "times are floats": ({"timestamp": pa.array(np.arange(ROWS) * 1.0)}, "type double"),
    "times are booleans": ({"timestamp": pa.array([True] * ROWS)}, "type bool"),
    "times are no times": ({"timestamp": pa.array(["noon"] * ROWS)}, "timestamps"),
    "times of the day": ({"timestamp": pa.array(range(ROWS), pa.time64("us"))}, "type time64"),
    "times at both ends of int64": (
        {"timestamp": pa.array([-(2**63), 2**63 - 1] * (ROWS // 2)).view(pa.timestamp("ms", "UTC"))}, "year",
    ),
    "seconds at both ends of int64": (
        {"timestamp": pa.array([-(2**63), 2**63 - 1] * (ROWS // 2)).view(pa.timestamp("s", "UTC"))}, "cannot",
    ),
    "times far apart": ({"timestamp": pa.array([0, START] * (ROWS // 2))}, "span"),
    "a label is a struct": ({"instance": pa.array([{"a": 1}] * ROWS)}, "type struct"),
    "a label is binary": ({"instance": pa.array([b"a"] * ROWS)}, "type binary"),
    "a label is a float": ({"instance": pa.array([1.5] * ROWS)}, "type double"),
    "labels are lists in a dictionary": (
        {"instance": pa.DictionaryArray.from_arrays(pa.array([0] * ROWS), pa.array([["a"]]))}, "type dictionary",
    ),
    "a feature is a list": ({"cpu": pa.array([[1.0]] * ROWS)}, "type list"),
    "a feature is text": ({"cpu": pa.array(["1"] * ROWS)}, "type string"),
    "a feature is an extension": ({"cpu": pa.array([b"0" * 16] * ROWS, pa.uuid())}, "type extension"),
    "a feature is run-length encoded": (
        {"cpu": pa.RunEndEncodedArray.from_arrays(pa.array([ROWS], pa.int32()), pa.array([1.0]))}, "type run_end",
    ),
    "a feature is infinite": ({"cpu": pa.array([float("inf")] * ROWS)}, "infinite"),
    "a feature is missing": ({"cpu": None}, "no column 'cpu'"),
    "the label is missing": ({"instance": None}, "no column 'instance'"),
}  # fmt: skip


@pytest.mark.parametrize("name", TYPES)
def test_columns_of_another_kind_are_refused(name: str) -> None:
    changed, text = TYPES[name]
    refused(stream(table(**changed)), text)


def test_a_column_that_is_there_twice_is_refused_and_one_that_nobody_needs_is_not() -> None:
    one = table(other=pa.array([1] * ROWS))
    for name in ("timestamp", "instance", "cpu"):
        refused(stream(one.append_column(name, one.column(name))), f"the column '{name}' 2 times")
    assert arrow_windows(SERVED, stream(one.append_column("other", one.column("other")))) == PLAIN


def test_no_rows_and_no_stream_are_refused() -> None:
    refused(stream(table(0)), "no rows")
    for data in (b"", b"\0" * 100, b"not arrow", b"\xff" * 1000, stream(table())[:200], b"ARROW1\0\0" * 8):
        refused(data)


OFFSETS = int32(*range(0, 7 * ROWS, 6))


@pytest.mark.parametrize(
    "offsets",
    [
        [0, 6, 12, 2**31 - 1], [0, 2**30, 2**30 + 5, 2**30 + 10], [0, 6, 12, 10**8], [-(2**31), -5, 12, 18],
        [0, 12, 6, 18], [2**31 - 20, 2**31 - 15, 2**31 - 10, 2**31 - 5], [0, 6, 12, 4096], [-6, 6, 12, 18],
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["one batch", "the second batch", "a dictionary"])
def test_offsets_of_text_that_lie_are_refused(offsets: list[int], kind: str) -> None:
    one = table(3, instance=pa.array([f"host-{i}" for i in range(3)]))
    if kind == "a dictionary":
        one = one.set_column(1, "instance", one.column("instance").dictionary_encode())
    data = stream(pa.concat_tables([one, one]) if kind == "the second batch" else one)
    refused(replaced(data, int32(0, 6, 12, 18), int32(*offsets), last=kind == "the second batch"))


@pytest.mark.parametrize("indices", [[0, 1, 3], [0, 1, 2**31 - 1], [0, 1, -1], [-(2**31), 1, 2], [0, 1, 10**8]])
@pytest.mark.parametrize("column", ["instance", "cpu"])
def test_indices_outside_of_a_dictionary_are_refused(indices: list[int], column: str) -> None:
    of = {"instance": pa.array(["a", "b", "c"]), "cpu": pa.array([1.25, 2.25, 3.25])}[column]
    data = stream(table(3, **{column: of.dictionary_encode()}))
    refused(replaced(data, int32(0, 1, 2), int32(*indices), last=True))


@pytest.mark.parametrize("said", [12_346, 20_000, 1_000_000, 50_000_000, 2**31, 2**40, 2**63 - 1, -1, -(2**63)])
@pytest.mark.parametrize("label", ["text", "a dictionary"])
def test_a_batch_that_says_that_it_has_other_rows_is_refused(said: int, label: str) -> None:
    rows = 12_345
    hosts = pa.array(["host-0"] * rows)
    data = stream(table(rows, instance=hosts.dictionary_encode() if label == "a dictionary" else hosts))
    refused(data.replace(struct.pack("<q", rows), struct.pack("<q", said)))


def test_compressed_buffers_are_counted_before_they_are_unpacked() -> None:
    """A few kB that would be more than the limit, and ones that say so without being it."""
    for kind in (pa.string(), pa.dictionary(pa.int32(), pa.string())):
        labels = pa.array(["x" * 42_000_000 + end for end in "abcd"])
        packed = stream(table(4, instance=labels.cast(kind)), compression="zstd")
        assert len(packed) < 100_000
        refused(packed, "when unpacked")
    small = stream(table(1000), compression="lz4")
    size = struct.pack("<q", 8000)
    for said in (2**40, 2**63 - 1, -2, -(2**63)):
        refused(replaced(small, size, struct.pack("<q", said)))
    for said in (8001, 7999, 0, 80_000_000, -1):
        refused(replaced(small, size, struct.pack("<q", said)))


def test_many_rows_and_many_batches_are_counted_before_they_are_read() -> None:
    nulls = pa.table({"timestamp": pa.nulls(10), "instance": pa.nulls(10), "cpu": pa.nulls(10)})
    refused(stream(nulls))
    refused(stream(table(MOST_VALUES // 3 + 1), compression="zstd"), r"rows of 2 features; at most 3,333,333")
    sink = io.BytesIO()
    one = table(1).to_batches()[0]
    with pa.ipc.new_stream(sink, one.schema) as writer:
        for _ in range(10_002):
            writer.write_batch(one)
    refused(sink.getvalue(), "more than 10,000 batches")


def test_views_that_show_the_same_bytes_again_and_again_are_counted() -> None:
    """A thousand labels of 300 kB each, in a body of 320 kB."""
    rows, length = 1000, 300_000
    views = b"".join(struct.pack("<i4sii", length - i, b"xxxx", 0, i) for i in range(rows))
    labels = pa.Array.from_buffers(pa.string_view(), rows, [None, pa.py_buffer(views), pa.py_buffer(b"x" * length)])
    data = stream(table(rows, instance=labels))
    assert len(data) < 400_000
    refused(data, "labels are")


def test_a_header_that_is_larger_than_columns_need_is_refused() -> None:
    added = table().replace_schema_metadata({f"key-{i}": "v" * 100 for i in range(50_000)})
    refused(stream(added), "header of")
    refused(stream(table(**{f"{i:060}": pa.nulls(ROWS) for i in range(50_000)})), "header of")


def test_a_stream_of_another_byte_order_is_refused() -> None:
    data = bytearray(stream(table()))
    message = 8 + struct.unpack_from("<I", data, 8)[0]
    table_of = message - struct.unpack_from("<i", data, message)[0]
    schema = message + struct.unpack_from("<H", data, table_of + 8)[0]
    schema += struct.unpack_from("<I", data, schema)[0]
    fields = schema - struct.unpack_from("<i", data, schema)[0]
    assert struct.unpack_from("<H", data, fields + 4) == (0,)  # left out: little-endian
    struct.pack_into("<H", data, fields + 4, 4)  # any number but 0
    refused(bytes(data), "big-endian")


def test_other_messages_are_refused() -> None:
    sink = pa.BufferOutputStream()
    pa.ipc.write_tensor(pa.Tensor.from_numpy(np.ones((2, 2))), sink)
    refused(sink.getvalue().to_pybytes())


def test_whatever_bytes_are_changed_there_are_windows_or_one_error() -> None:
    """In one process: a stream that brought it down would end the tests."""
    rng = random.Random(0)
    base = [stream(one, **options) for one, options in GOOD.values()]
    extremes = [0, 1, -1, 2**31 - 1, -(2**31), 2**20, 10**8]
    seen = {True: 0, False: 0}
    for _ in range(1500):
        data = bytearray(rng.choice(base))
        for _ in range(rng.choice([1, 1, 2, 4])):
            at = rng.randrange(len(data) // 8) * 8
            kind = rng.random()
            if kind < 0.4:
                data[rng.randrange(len(data))] = rng.randrange(256)
            elif kind < 0.7:
                data[at : at + 4] = struct.pack("<i", rng.choice(extremes))
            elif kind < 0.95:
                data[at : at + 8] = struct.pack("<q", rng.choice(extremes) << rng.choice([0, 32]))
            else:
                del data[max(8, at) :]
        try:
            found = isinstance(arrow_windows(SERVED, bytes(data)), Windows)
        except DataError:
            found = False
        seen[found] += 1
    assert min(seen.values()) > 100
