"""Release one window's summaries, once: reserve, mark, draw, publish.

A crash anywhere leaves a reservation at most, which counts as spent. What is published is given back ever after, so
that a retry, a backfill or a second worker draws nothing. The mark, outside the lake, names the newest reservation
before anything is drawn under it: a lake that is restored from a backup cannot forget what was spent.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

from audit_pipeline import tlog
from audit_pipeline.errors import BudgetError, InputError, StorageError
from audit_pipeline.lake.declared import LEDGER
from audit_pipeline.lake.marks import chain_hash, newest_mark, put_mark
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.published import find_published, publish
from audit_pipeline.lake.reservations import append_reservation, read_reservations
from audit_pipeline.privacy.ledger import Reservation, check_may_reserve, other_windows
from audit_pipeline.privacy.manifest import manifest
from audit_pipeline.privacy.mechanisms import Noise
from audit_pipeline.privacy.numbers import Number
from audit_pipeline.privacy.price import Budget
from audit_pipeline.privacy.release import Release, plain, release_key
from audit_pipeline.privacy.rows import BoundedRows, stored_columns
from audit_pipeline.privacy.unit import PROTECTED_TABLE, SCOPE, Window
from audit_pipeline.records import canonical
from audit_pipeline.releasing.window_rows import WindowRows

_ATTEMPTS = 1000
_WRITER_BYTES = 16


@dataclass(frozen=True, slots=True)
class Released:
    """A published release of a window. All of it is public."""

    row: Mapping[str, Any]
    """As in the table `releases`."""
    is_new: bool
    """False where it was published already, and nothing was drawn that is shown."""


def release_window(
    lake: Lake,
    release: Release,
    window: Window,
    budget: Budget,
    *,
    today: date,
    now: Callable[[], datetime],
    entropy: Callable[[int], bytes],
    noise: Noise,
) -> Released:
    """The release of `window` that is due by `today`, drawn and published unless it is published already.

    Raises:
        InputError: the window is not over, or the lake was never sealed.
        BudgetError: it may not be drawn: of the budget too little is left, or it was tried too often.
        StorageError: the rows cannot be read, or another run got in between; run again.
    """
    asked = _Asked(release, window, due_revision(release, window, today))
    if (row := find_published(lake, asked.key)) is not None:
        return Released(row, is_new=False)
    before = check_ledger(lake)
    # What would be refused is refused before any row is read.
    check_may_reserve(before, asked.reservation(before, _Input("", 0, ""), "", now()), budget)
    others = other_windows(before, window)
    rows = WindowRows(lake)
    found = rows.of(window, stored_columns(release.columns))
    with BoundedRows(release.unit, release.columns, found, rows.left_out(release.unit, others)) as bounded:
        exact = release.exact(bounded)
    read = _hidden_input(entropy(canonical.NONCE_BYTES), rows)
    writer = entropy(_WRITER_BYTES).hex()

    def decide(before: Sequence[Reservation]) -> Reservation | None:
        # The ledger was read first: whoever published before that had reserved, and is in it.
        if find_published(lake, asked.key) is not None:
            return None
        found = other_windows(before, window)
        if found != others and len(found) >= release.unit.max_windows:
            raise StorageError(f"{release.name}, {window}: another window was reserved meanwhile; run again")
        new = asked.reservation(before, read, writer, now())
        check_may_reserve(before, new, budget)
        return new

    reservation = append_reservation(lake, decide, entropy(canonical.NONCE_BYTES))
    if reservation is None:
        return Released(find_published(lake, asked.key) or {}, is_new=False)
    move_mark(lake, reservation)
    drawn = release.draw(exact, noise)
    row = _row(release, reservation, drawn, budget, now().astimezone(UTC))
    row = publish(lake, row, entropy(canonical.NONCE_BYTES))
    # Where another draw was published first, that one stands, and this one is never seen.
    return Released(row, is_new=row["reservation"] == reservation.number)


@dataclass(frozen=True, slots=True)
class _Input:
    """Which rows were read: a digest that only the ledger's readers, who have the nonce, can compare."""

    digest: str
    version: int
    nonce: str


@dataclass(frozen=True, slots=True)
class _Asked:
    release: Release
    window: Window
    revision: int

    @property
    def key(self) -> str:
        return release_key(self.release, self.window, self.revision)

    def reservation(self, before: Sequence[Reservation], read: _Input, writer: str, at: datetime) -> Reservation:
        """The reservation that comes after those `before`."""
        return Reservation(
            number=len(before) + 1,
            scope=SCOPE,
            period=self.window.period,
            window=self.window,
            release=self.release.name,
            revision=self.revision,
            attempt=sum(row.key == self.key for row in before),
            key=self.key,
            price=self.release.price(),
            max_windows=self.release.unit.max_windows,
            spec=canonical.dump_canonical(self.release.spec()).decode(),
            input=read.digest,
            input_version=read.version,
            nonce=read.nonce,
            writer=writer,
            reserved_at=at.astimezone(UTC),
            previous=before[-1].digest if before else None,
        )


def due_revision(release: Release, window: Window, today: date) -> int:
    """Which release of the window is due: 0 when it is over, one more for each day of `revisions` after its end.

    Raises:
        InputError: the window is not over.
    """
    days = (today - window.last).days
    if days < 1:
        raise InputError(f"{release.name}: the {window} ends with {window.last}; it is released from the day after")
    return sum(days > after for after in release.revisions)


def check_ledger(lake: Lake) -> list[Reservation]:
    """The reservations, checked to go on from the one that the newest mark names.

    Raises:
        InputError: there is no mark: the lake was never sealed.
        BudgetError: they do not: the ledger was restored from a backup, or cut.
    """
    # The mark first: an honest ledger is never behind a mark that was read before it.
    _, mark = newest_mark(lake.marks)
    if mark is None:
        raise InputError(f"{lake.places.lake}: nothing is sealed yet; run the daily job before a release")
    rows = read_reservations(lake.open(LEDGER))
    if mark.ledger is not None and mark.ledger not in {row.digest for row in rows}:
        raise BudgetError(
            f"{lake.places.lake}: the ledger has {len(rows)} reservations, but not the one that the newest mark names: "
            "it was restored from an older backup, and what it forgot was spent; nothing is released; "
            "see docs/recovery.md, `A ledger that forgot`"
        )
    return rows


def move_mark(lake: Lake, reservation: Reservation) -> None:
    """Make the newest mark name this reservation, or one that came after it."""
    marks = lake.marks
    for _ in range(_ATTEMPTS):
        number, mark = newest_mark(marks)
        digests = [row.digest for row in check_ledger(lake)]
        assert mark is not None
        if mark.ledger in digests and digests.index(mark.ledger) + 1 >= reservation.number:
            return
        after = tlog.Mark(mark.origin, chain_hash(marks, number), mark.size, mark.root, mark.inventory, digests[-1])
        put_mark(marks, number + 1, after)
    raise StorageError(f"{marks.root}: the ledger could not be marked in {_ATTEMPTS} attempts; run again")


def _row(
    release: Release,
    reservation: Reservation,
    drawn: Mapping[str, Sequence[Number]],
    budget: Budget,
    published_at: datetime,
) -> dict[str, Any]:
    """The row of `releases`: everything in it is public."""
    said = plain(manifest(release, reservation, budget, published_at))
    return {
        "day": reservation.window.first,
        "last_day": reservation.window.last,
        "release": release.name,
        "revision": reservation.revision,
        "release_key": reservation.key,
        "reservation": reservation.number,
        "numbers": [{"statistic": name, **asdict(number)} for name, numbers in drawn.items() for number in numbers],
        "manifest": canonical.dump_canonical(said).decode(),
        "published_at": published_at,
    }


def _hidden_input(nonce: bytes, rows: WindowRows) -> _Input:
    said = {"table": PROTECTED_TABLE, "version": rows.version, "files": sorted({*rows.read})}
    digest = hashlib.sha256(b"audit-input/v1\n" + nonce + canonical.dump_canonical(said)).hexdigest()
    return _Input(digest, rows.version, nonce.hex())
