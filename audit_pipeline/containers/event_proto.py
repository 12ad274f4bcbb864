"""TensorFlow's Event as canonical JSON, without its library: docs/evidence-format.md section 2 says how.

Field numbers: `event.proto`, `summary.proto`, `histogram.proto`, `tensor.proto`, `tensor_shape.proto` in TensorBoard's
`tensorboard/compat/proto`; TensorFlow has the same. The wire format is that of protobuf.dev, "Encoding".
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from audit_pipeline.containers.json_text import dump_plain

MAX_VALUES = 1 << 18
"""Fields and packed numbers in one record. A record of 64 MiB may hold 32 million of them: gigabytes as objects."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LAST_BYTES = bytes(range(0x80, 0x100))


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    kind: "str | Mapping[int, _Field]"
    """A key of _WIRE, or the fields of a message."""
    is_repeated: bool = False


_many = partial(_Field, is_repeated=True)

_SHAPE = {
    2: _many("dim", {1: _Field("size", "int"), 2: _Field("name", "text")}),
    3: _Field("unknown_rank", "uint"),
}
_TENSOR = {
    1: _Field("dtype", "int"),
    2: _Field("tensor_shape", _SHAPE),
    3: _Field("version_number", "int"),
    4: _Field("tensor_content", "bytes"),
    5: _many("float_val", "float"),
    6: _many("double_val", "double"),
    7: _many("int_val", "int"),
    8: _many("string_val", "text"),
    9: _many("scomplex_val", "float"),
    10: _many("int64_val", "int"),
    11: _many("bool_val", "uint"),
    12: _many("dcomplex_val", "double"),
    13: _many("half_val", "int"),
    14: _many("resource_handle_val", "bytes"),
    15: _many("variant_val", "bytes"),
    16: _many("uint32_val", "uint"),
    17: _many("uint64_val", "uint"),
    18: _Field("float8_val", "bytes"),
}
_HISTOGRAM = {
    1: _Field("min", "double"),
    2: _Field("max", "double"),
    3: _Field("num", "double"),
    4: _Field("sum", "double"),
    5: _Field("sum_squares", "double"),
    6: _many("bucket_limit", "double"),
    7: _many("bucket", "double"),
}
_IMAGE = {
    1: _Field("height", "int"),
    2: _Field("width", "int"),
    3: _Field("colorspace", "int"),
    4: _Field("encoded_image_string", "bytes"),
}
_AUDIO = {
    1: _Field("sample_rate", "float"),
    2: _Field("num_channels", "int"),
    3: _Field("length_frames", "int"),
    4: _Field("encoded_audio_string", "bytes"),
    5: _Field("content_type", "text"),
}
_METADATA = {
    1: _Field("plugin_data", {1: _Field("plugin_name", "text"), 2: _Field("content", "bytes")}),
    2: _Field("display_name", "text"),
    3: _Field("summary_description", "text"),
    4: _Field("data_class", "int"),
}
_VALUE = {
    1: _Field("tag", "text"),
    2: _Field("simple_value", "float"),
    3: _Field("obsolete_old_style_histogram", "bytes"),
    4: _Field("image", _IMAGE),
    5: _Field("histo", _HISTOGRAM),
    6: _Field("audio", _AUDIO),
    7: _Field("node_name", "text"),
    8: _Field("tensor", _TENSOR),
    9: _Field("metadata", _METADATA),
}
_SESSION_LOG = {1: _Field("status", "int"), 2: _Field("checkpoint_path", "text"), 3: _Field("msg", "text")}
_EVENT = {
    1: _Field("wall_time", "double"),
    2: _Field("step", "int"),
    3: _Field("file_version", "text"),
    4: _Field("graph_def", "bytes"),
    5: _Field("summary", {1: _many("value", _VALUE)}),
    6: _Field("log_message", {1: _Field("level", "int"), 2: _Field("message", "text")}),
    7: _Field("session_log", _SESSION_LOG),
    8: _Field("tagged_run_metadata", {1: _Field("tag", "text"), 2: _Field("run_metadata", "bytes")}),
    9: _Field("meta_graph_def", "bytes"),
    10: _Field("source_metadata", {1: _Field("writer", "text")}),
}

_WIRE = {"double": _FIXED64, "float": _FIXED32, "int": _VARINT, "uint": _VARINT, "text": _BYTES, "bytes": _BYTES}


def event_json(data: bytes) -> bytes:
    """Canonical JSON of an Event, of its bytes where `data` is none."""
    try:
        event = _Decoder().message(data, _EVENT)
    except _NoEventError:
        return dump_plain(data)
    return dump_plain(event if "wall_time" in event else data)


class _NoEventError(Exception):
    pass


class _Decoder:
    def __init__(self) -> None:
        self._left = MAX_VALUES

    def message(self, data: bytes, fields: Mapping[int, _Field]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        at, end = 0, len(data)
        while at < end:
            self._take(1)
            tag, start = _varint(data, at)
            number, wire = tag >> 3, tag & 7
            value, at = _split(data, start, wire)
            if at > end or not 0 < number < 1 << 29:
                raise _NoEventError
            field = fields.get(number)
            if field is None:
                raw = value if isinstance(value, bytes) else data[start:at]
                found.setdefault("unknown", []).append({"field": number, "wire": wire, "bytes": raw})
            elif field.is_repeated:
                found.setdefault(field.name, []).extend(self._values(field, wire, value))
            elif field.name in found:
                raise _NoEventError
            else:
                found[field.name] = self._value(field, wire, value)
        return found

    def _value(self, field: _Field, wire: int, value: Any) -> Any:
        kind = field.kind
        if wire != (_WIRE[kind] if isinstance(kind, str) else _BYTES):
            raise _NoEventError
        if not isinstance(kind, str):
            return self.message(value, kind)
        if kind == "float":
            return struct.unpack("<f", value)[0]
        if kind == "double":
            return struct.unpack("<d", value)[0]
        if kind == "int":
            return _signed(value)
        return _text(value) if kind == "text" else value

    def _values(self, field: _Field, wire: int, value: Any) -> list[Any]:
        """One value, or the numbers that are packed in it."""
        kind = field.kind
        if wire != _BYTES or not isinstance(kind, str) or _WIRE[kind] == _BYTES:
            return [self._value(field, wire, value)]
        if _WIRE[kind] != _VARINT:
            size = 8 if kind == "double" else 4
            self._take(len(value) // size)
            if len(value) % size:
                raise _NoEventError
            return list(struct.unpack(f"<{len(value) // size}{kind[0]}", value))
        self._take(len(value.translate(None, _LAST_BYTES)))
        numbers, at = [], 0
        while at < len(value):
            number, at = _varint(value, at)
            numbers.append(_signed(number) if kind == "int" else number)
        return numbers

    def _take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise _NoEventError


def _split(data: bytes, at: int, wire: int) -> tuple[int | bytes, int]:
    """(value of a field, where it ends): past the end of `data` where it is cut off."""
    if wire == _VARINT:
        return _varint(data, at)
    if wire == _BYTES:
        size, at = _varint(data, at)
    elif wire == _FIXED64:
        size = 8
    elif wire == _FIXED32:
        size = 4
    else:
        raise _NoEventError
    return data[at : at + size], at + size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for byte in data[at : at + 10]:
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            if value >> 64:
                break
            return value, at
    raise _NoEventError


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
