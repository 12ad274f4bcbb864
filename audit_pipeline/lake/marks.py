"""The chain of marks: what this log has signed, as create-only objects `<n>` outside the lake."""

import hashlib

from audit_pipeline import tlog
from audit_pipeline.errors import ProofError
from audit_pipeline.lake.stores import Store


def newest_mark(marks: Store) -> tuple[int, tlog.Mark | None]:
    """(number, mark) of the newest mark; (0, None) where nothing was ever signed.

    Raises:
        ProofError: a mark is missing, or the newest does not name the one before.
    """
    newest = len(_numbers(marks))
    return newest, _mark(marks, newest) if newest else None


def check_chain(marks: Store) -> None:
    """Check every mark against the one before.

    Raises:
        ProofError: one does not name the one before, or takes back what that one says.
    """
    before = None
    for number in _numbers(marks):
        mark = _mark(marks, number)
        if before is not None and (mark.size < before.size or mark.origin != before.origin):
            raise ProofError(f"{marks.path(str(number))}: says less than the mark before")
        before = mark


def _numbers(marks: Store) -> list[int]:
    numbers = sorted(int(name) for name in marks.names() if name.isdecimal())
    if numbers != list(range(1, len(numbers) + 1)):
        raise ProofError(
            f"{marks.root}: the marks {numbers[:5]}… are not 1, 2, 3, …; restore the folder of marks from its backup"
        )
    return numbers


def _mark(marks: Store, number: int) -> tlog.Mark:
    mark = tlog.parse_mark(marks.get(str(number)) or b"")
    before = chain_hash(marks, number - 1)
    if mark.previous != before:
        raise ProofError(f"{marks.path(str(number))}: names {mark.previous} as the mark before, which is {before}")
    return mark


def put_mark(marks: Store, number: int, mark: tlog.Mark) -> bool:
    """Create mark `number`. False when another sealer made it first."""
    return marks.put_new(str(number), tlog.format_mark(mark))


def chain_hash(marks: Store, number: int) -> str | None:
    """What mark `number` + 1 must name: the hash of mark `number`."""
    text = marks.get(str(number)) if number else None
    return None if text is None else hashlib.sha256(text).hexdigest()
