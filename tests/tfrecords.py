"""A tiny writer of TFRecord and TensorBoard event files: CRC-32C bit by bit, protocol buffers field by field."""

import struct
from typing import Any

WALL_TIME = 1_795_454_137.25
VERSION = b"brain.Event:2"


def varint(number: int) -> bytes:
    number %= 1 << 64
    digits = []
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


def integer(field: int, number: int) -> bytes:
    return varint(field << 3) + varint(number)


def double(field: int, number: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", number)


def single(field: int, number: float) -> bytes:
    return varint(field << 3 | 5) + struct.pack("<f", number)


def content(field: int, value: bytes) -> bytes:
    """Bytes, text, a message or packed numbers."""
    return varint(field << 3 | 2) + varint(len(value)) + value


def event(*what: bytes, step: int = 0, wall_time: float = WALL_TIME) -> bytes:
    return double(1, wall_time) + (integer(2, step) if step else b"") + b"".join(what)


def first_event() -> bytes:
    return event(content(3, VERSION))


def summary(*values: bytes, **of: Any) -> bytes:
    return event(content(5, b"".join(content(1, value) for value in values)), **of)


def scalar(tag: str, number: float) -> bytes:
    return content(1, tag.encode()) + single(2, number)


def plugin(name: str) -> bytes:
    """Metadata of a value."""
    return content(9, content(1, content(1, name.encode())))


def text(tag: str, *texts: bytes, metadata: bytes | None = None) -> bytes:
    shape = content(2, content(2, integer(1, len(texts))))
    tensor = integer(1, 7) + shape + b"".join(content(8, one) for one in texts)
    return content(1, tag.encode()) + (plugin("text") if metadata is None else metadata) + content(8, tensor)


def checksum(value: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in value:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF).to_bytes(4, "little")


def frame(*records: bytes) -> bytes:
    """A TFRecord file."""
    lengths = [len(record).to_bytes(8, "little") for record in records]
    return b"".join(
        length + checksum(length) + record + checksum(record) for length, record in zip(lengths, records, strict=True)
    )


def as_events(count: int) -> bytes:
    """An event file with `count` scalars."""
    return frame(first_event(), *(summary(scalar("train/loss", 1 / n), step=n) for n in range(1, count + 1)))
