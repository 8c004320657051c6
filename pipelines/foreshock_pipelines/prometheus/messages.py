"""The messages of Prometheus' remote write protocol 1.0 (prompb), made from their descriptor.

.. [1] https://prometheus.io/docs/specs/prw/remote_write_spec/
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["WriteRequest"]

_FieldType = descriptor_pb2.FieldDescriptorProto
_FIELDS: dict[str, list[tuple[str, int, Any, str]]] = {
    "Label": [("name", 1, _FieldType.TYPE_STRING, ""), ("value", 2, _FieldType.TYPE_STRING, "")],
    "Sample": [("value", 1, _FieldType.TYPE_DOUBLE, ""), ("timestamp", 2, _FieldType.TYPE_INT64, "")],
    "TimeSeries": [
        ("labels", 1, _FieldType.TYPE_MESSAGE, "Label"),
        ("samples", 2, _FieldType.TYPE_MESSAGE, "Sample"),
    ],
    "WriteRequest": [("timeseries", 1, _FieldType.TYPE_MESSAGE, "TimeSeries")],
}
"""Message to its fields: name, number, type, and for repeated messages which."""


def _write_request() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="foreshock/remote_write.proto", package="foreshock.prometheus", syntax="proto3"
    )
    for message, fields in _FIELDS.items():
        described = file.message_type.add(name=message)
        for name, number, kind, of in fields:
            described.field.add(
                name=name, number=number, type=kind,
                label=_FieldType.LABEL_REPEATED if of else _FieldType.LABEL_OPTIONAL,
                type_name=f".foreshock.prometheus.{of}" if of else None,
            )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("foreshock.prometheus.WriteRequest"))


WriteRequest = _write_request()
