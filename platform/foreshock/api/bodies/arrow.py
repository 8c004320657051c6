"""An Arrow IPC stream that somebody else sent, as windows: measured, then read, then checked, then used.

Arrow reads what a stream says of itself: how many rows its buffers hold, how large they are when unpacked, which
entry of a dictionary an index means. So the headers of all messages are looked at before any body is read, and
every batch is validated in full before one of its values is touched.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyarrow import types

from foreshock_models.errors import DataError
from foreshock_pipelines.datasets.fill import MOST_VALUES, check_rows
from foreshock_pipelines.datasets.windows import Windows

if TYPE_CHECKING:
    from foreshock.api.replicas import Served

__all__ = ["arrow_windows"]

HEADER = 4 << 20
"""Bytes of the header of one message, which for a schema names all columns and holds what its writer added."""
MESSAGES = 10_000
"""Batches and dictionaries in one stream."""
UNPACKED = 16 * MOST_VALUES
"""Bytes of all compressed buffers together, when unpacked: twice the largest windows."""
Accepts = Callable[[pa.DataType], bool]


def arrow_windows(served: Served, data: bytes) -> Windows:
    """Windows of an Arrow IPC stream.

    Raises
    ------
    DataError
        Not such a stream, one that lacks what it declares, columns that are missing, twice there or of another
        type, nulls where there can be none, or more rows than one request may have.
    """
    try:
        return _windows(served, data)
    except (pa.ArrowException, OSError, ValueError, struct.error) as exc:
        # Arrow's texts may quote bytes of the body
        lines = str(exc).encode("ascii", errors="replace").decode().splitlines() or [type(exc).__name__]
        raise DataError(f"the body cannot be read as an Arrow IPC stream: {lines[0][:200]}") from exc


def _windows(served: Served, data: bytes) -> Windows:
    features = served.detector.features_in_
    n_rows = _measure(data)
    check_rows(n_rows, n_rows, len(features), served.step, MOST_VALUES)
    table = _read(data, served.labels, features)
    columns = {name: _floats(name, table.column(name)) for name in features}
    if table.num_rows == 0:
        raise DataError("the stream holds no rows")
    return Windows.build(
        table.column("timestamp"), {name: _encoded(table.column(name)) for name in served.labels}, columns,
        step=served.step, most=MOST_VALUES,
    )  # fmt: skip


# -- before anything is read -------------------------------------------------------------------------------
def _measure(data: bytes) -> int:
    """Return how many rows a stream says that it has, after what it says was found to be bearable."""
    n_rows = unpacked = 0
    for count, message in enumerate(_messages(data)):
        if count > MESSAGES:
            raise DataError(f"the stream has more than {MESSAGES:,} batches; write fewer, larger ones")
        if message.metadata.size > HEADER:
            raise DataError(
                f"the stream has a header of {message.metadata.size:,} bytes, at most {HEADER:,}; send only the "
                "columns that the model needs, without metadata"
            )
        header = _Table.root(message.metadata)
        content = header.table(2)
        if message.type == "schema":
            if content.number(0, "<h"):
                raise DataError("the stream is big-endian; write it on a little-endian machine")
            continue
        batch = content.table(1) if message.type == "dictionary" else content
        length = batch.number(0, "<q")
        if not 0 <= length <= MOST_VALUES:
            raise DataError(f"a batch of the stream says that it has {length:,} rows; at most {MOST_VALUES:,}")
        if message.type == "record batch":
            n_rows += length
        if batch.has(3):
            unpacked += _unpacked(batch, message.body)
            if unpacked > UNPACKED:
                raise DataError(f"the stream has more than {UNPACKED:,} bytes when unpacked; send fewer rows")
    return n_rows


def _messages(data: bytes) -> Iterator[Any]:
    reader = pa.ipc.MessageReader.open_stream(pa.py_buffer(data))
    while True:
        try:
            message = reader.read_next_message()
        except StopIteration:
            return
        if message.type not in ("schema", "dictionary", "record batch"):
            raise DataError(f"the stream has a message of the type {message.type!r}; send tables")
        yield message


def _unpacked(batch: _Table, body: pa.Buffer) -> int:
    """Bytes of a batch's compressed buffers when unpacked: each begins with its size, or -1 if it is not packed."""
    total = 0
    for offset, length in batch.structs(2, "<qq"):
        if length == 0:
            continue
        if not (offset >= 0 and 8 <= length <= body.size - offset):
            raise DataError("the stream has a buffer that lies outside of its message")
        (size,) = struct.unpack("<q", body.slice(offset, 8).to_pybytes())
        if size < -1:
            raise DataError("the stream has a buffer of a negative size")
        total += length if size == -1 else size
    return total


class _Table:
    """A table of a FlatBuffer, which Arrow has verified: as much as is needed of its format."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self.vtable = at - struct.unpack_from("<i", data, at)[0]
        self.n_fields = (struct.unpack_from("<H", data, self.vtable)[0] - 4) // 2

    @classmethod
    def root(cls, buffer: pa.Buffer) -> _Table:
        data = buffer.to_pybytes()
        return cls(data, struct.unpack_from("<I", data)[0])

    def _field(self, number: int) -> int:
        """Position of a field; 0 if it is left out."""
        if number >= self.n_fields:
            return 0
        offset = struct.unpack_from("<H", self.data, self.vtable + 4 + 2 * number)[0]
        return self.at + offset if offset else 0

    def has(self, number: int) -> bool:
        return bool(self._field(number))

    def number(self, number: int, layout: str) -> int:
        at = self._field(number)
        return int(struct.unpack_from(layout, self.data, at)[0]) if at else 0

    def table(self, number: int) -> _Table:
        at = self._field(number)
        if not at:
            raise DataError("the stream has a message without content")
        return _Table(self.data, at + struct.unpack_from("<I", self.data, at)[0])

    def structs(self, number: int, layout: str) -> list[tuple[Any, ...]]:
        """The entries of a vector of structs."""
        at = self._field(number)
        if not at:
            return []
        at += struct.unpack_from("<I", self.data, at)[0]
        (count,) = struct.unpack_from("<I", self.data, at)
        return list(struct.iter_unpack(layout, self.data[at + 4 : at + 4 + count * struct.calcsize(layout)]))


# -- reading -----------------------------------------------------------------------------------------------
def _read(data: bytes, labels: Sequence[str], features: Sequence[str]) -> pa.Table:
    """The columns that the model needs, of the right types, every batch validated."""
    wanted = ["timestamp", *labels, *features]
    with pa.ipc.open_stream(data) as reader:
        schema = reader.schema
    for name in wanted:
        found = schema.get_all_field_indices(name)
        if not found:
            raise DataError(f"the table has no column {name!r}; the model needs {', '.join(wanted)}")
        if len(found) > 1:
            raise DataError(f"the table has the column {name!r} {len(found)} times")
    _check_type(schema, "timestamp", _is_time, "a timestamp (UTC), or integers: milliseconds since the epoch")
    for name in labels:
        _check_type(schema, name, _is_label, "text")
    for name in features:
        _check_type(schema, name, _is_number, "numbers")
    options = pa.ipc.IpcReadOptions(
        included_fields=[schema.get_field_index(name) for name in wanted], use_threads=False
    )
    batches = []
    with pa.ipc.open_stream(data, options=options) as reader:
        for batch in reader:
            batch.validate(full=True)
            batches.append(batch)
        return pa.Table.from_batches(batches, reader.schema)


def _check_type(schema: pa.Schema, name: str, accepts: Accepts, what: str) -> None:
    found = schema.field(name).type
    if not accepts(found):
        raise DataError(f"the column {name!r} is of the type {str(found)[:100]}; it must be {what}")


def _is_time(kind: pa.DataType) -> bool:
    return types.is_timestamp(kind) or types.is_date(kind) or types.is_integer(kind) or types.is_string(kind)


def _is_label(kind: pa.DataType) -> bool:
    if types.is_dictionary(kind):
        return _is_label(kind.value_type)
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return text or types.is_integer(kind) or types.is_boolean(kind)


def _is_number(kind: pa.DataType) -> bool:
    if types.is_dictionary(kind):
        return _is_number(kind.value_type)
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    return number or types.is_boolean(kind) or types.is_null(kind)


# -- values ------------------------------------------------------------------------------------------------
def _floats(name: str, column: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A feature's values; null and NaN are gaps."""
    values = column.cast(pa.float64(), safe=False).to_numpy()  # large integers are rounded, as they are in JSON
    if np.isinf(values).any():
        raise DataError(f"{name}: an infinite value; use null for a gap")
    return values


def _encoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A label with each text once, however often it stands in the column."""
    if types.is_string_view(column.type):
        # many views may show the same bytes, which become as many texts
        n_bytes = sum(_viewed(chunk) for chunk in column.chunks)
        if n_bytes > UNPACKED:
            raise DataError(f"the labels are {n_bytes:,} bytes long; at most {UNPACKED:,}")
    if not types.is_dictionary(column.type):
        return column.dictionary_encode()
    chunks = [pa.DictionaryArray.from_arrays(c.indices.cast(pa.int32()), c.dictionary) for c in column.chunks]
    return pa.chunked_array(chunks, pa.dictionary(pa.int32(), column.type.value_type)).unify_dictionaries()


def _viewed(array: pa.Array) -> int:
    """Bytes that the views of an array show: each is 16 bytes, which begin with a length."""
    views = np.frombuffer(array.buffers()[1], np.int32)[::4]
    return int(views[array.offset : array.offset + len(array)].sum(dtype=np.int64))
