"""Items of a TFRecord file, such as TensorBoard's event files: one item per record, streamed.

The framing is that of TensorFlow's `lib/io/record_writer.h`. A record that is an Event is an object, any other its
bytes (docs/evidence-format.md section 2). Files that are still being written give the same first items when they have
grown, because nothing in a record depends on another.
"""

from collections.abc import Iterator
from typing import BinaryIO

from audit_pipeline.containers.crc32c import masked_crc32c
from audit_pipeline.containers.event_proto import event_json
from audit_pipeline.containers.item import Item, rest

MAX_RECORD = 64 << 20
"""Bytes of one record."""

_LENGTH_BYTES = 8
_CHECKSUM_BYTES = 4


def iter_tfrecord(file: BinaryIO, skip: int = 0) -> Iterator[Item]:
    """Items of the TFRecord file in `file`, without the first `skip`."""
    for position, record in enumerate(_records(file)):
        if position >= skip:
            yield rest(record) if isinstance(record, str) else (event_json(record), "ok", "")


def starts_tfrecord(head: bytes) -> bool:
    """Whether a file that starts with `head` starts with a length and its checksum."""
    length, checksum = head[:_LENGTH_BYTES], head[_LENGTH_BYTES : _LENGTH_BYTES + _CHECKSUM_BYTES]
    return len(checksum) == _CHECKSUM_BYTES and _is_checksum(checksum, length)


def _records(file: BinaryIO) -> Iterator[bytes | str]:
    """The data of each record, or the reason why there are no more."""
    while head := file.read(_LENGTH_BYTES + _CHECKSUM_BYTES):
        if not starts_tfrecord(head):
            yield "unreadable"
            return
        size = int.from_bytes(head[:_LENGTH_BYTES], "little")
        if size > MAX_RECORD:
            yield "oversize"
            return
        data = file.read(size)
        if len(data) < size or not _is_checksum(file.read(_CHECKSUM_BYTES), data):
            yield "unreadable"
            return
        yield data


def _is_checksum(checksum: bytes, data: bytes) -> bool:
    return checksum == masked_crc32c(data).to_bytes(_CHECKSUM_BYTES, "little")
