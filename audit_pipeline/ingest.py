"""Landing files into `records`, exactly once: a batch is a data file, then a commit, and any worker can finish it."""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.lake.adoption import check_batch, check_follows
from audit_pipeline.lake.batches import batch_file, read_batch
from audit_pipeline.lake.commits import Commit, milliseconds
from audit_pipeline.lake.data_files import describe_file
from audit_pipeline.lake.declared import RECORDS, SEALS
from audit_pipeline.lake.inventories import check_goes_on
from audit_pipeline.lake.logbook import check_not_frozen, read_log
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.projection import SourceState, SourceStates, complete_sources, newest_states
from audit_pipeline.lake.stores import NewObject
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records import canonical
from audit_pipeline.sources.batching import write_batch
from audit_pipeline.sources.landing import Landed, Stream, list_landing
from audit_pipeline.sources.slices import SNAPSHOT_BYTES, SNAPSHOT_RECORDS
from audit_pipeline.sources.snapshots import Taken
from audit_pipeline.sources.taking import take
from audit_pipeline.sources.zones import open_zone
from audit_pipeline.tlog import SealEntry

_BATCH_SOURCES = 10_000
_WORKERS = 2

Entropy = Callable[[int], bytes]
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """What one call took in of one stream."""

    files: int
    """Landed files looked at."""
    sources: int
    """Of these, the ones something was taken from."""
    snapshots: int
    records: int
    quarantined: int
    partial_tails: int
    size_bytes: int
    """Of the data files written."""
    formats: dict[str, int]
    """Sources taken from, by format."""
    data_files: dict[str, str]
    """SHA-256 of each data file that this call wrote itself, by name: `seal_day` need not compare its rows again."""


class _Overtaken(Exception):
    """Another worker wrote the next data file: what was read for it here is dropped, and its file is adopted."""


def ingest_day(
    lake: Lake,
    streams: Sequence[Stream],
    day: date,
    *,
    today: date,
    now: Clock,
    entropy: Entropy,
    rehash: bool = False,
) -> dict[str, StreamCounts]:
    """Take in the landed files of `day`: each stream's new or changed bytes. Streams without dates are taken in today.

    `rehash`: read the files that look unchanged too, and compare all their bytes with what was taken in.

    Raises:
        InputError: `day` is after `today`, or files cannot be read; what can be read is taken in first.
    """
    if day > today:
        raise InputError(f"{day}: this day has not begun (today is {today} UTC); nothing was taken in")
    check_goes_on(lake)
    check_not_frozen(lake)
    found, unreadable = {}, []
    for stream in streams:
        if stream.is_dated or day == today:
            worker = _Worker(lake, stream, day, now, entropy, rehash=rehash)
            found[stream.name] = worker.run()
            unreadable += worker.unreadable
    if unreadable:
        more = f" (and {len(unreadable) - 1} more files)" if len(unreadable) > 1 else ""
        raise InputError(f"{unreadable[0]}{more}")
    return found


def days_to_run(lake: Lake, streams: Sequence[Stream], start: date, *, today: date, rehash: bool = False) -> list[date]:
    """Days with work: from the last sealed one to today, and earlier ones with something not taken in or not sealed.

    Before the first seal, from the first day that has files. `rehash`: all days that have files have work.
    """
    sources = complete_sources(lake)
    waiting = set()
    for stream in streams:
        states = newest_states(sources, stream.name)
        for landed in list_landing(lake.places.landing, stream):
            if landed.day is None or landed.day in waiting or not start <= landed.day <= today:
                continue
            source_id = canonical.source_id(stream.name, landed.name)
            if rehash or not states.is_unchanged(source_id, landed.size, landed.mtime_ns):
                waiting.add(landed.day)
    seals = lake.find(SEALS)
    log = read_log(seals) if seals is not None else []
    sealed = {seal.day for seal in log if seal.kind == "seal"}
    waiting |= days_not_sealed(sources, log)
    first = max(sealed, default=min(waiting, default=today))
    return sorted(waiting | {first + timedelta(days=n) for n in range((today - first).days + 1)})


def days_not_sealed(sources: OpenTable, log: Sequence[SealEntry]) -> set[date]:
    """The days that have snapshots under no seal, as when a run was stopped between taking in and sealing."""
    unsealed = Counter(sources.read(["day"]).column("day").to_pylist())
    unsealed.subtract({day: sum(seal.size for seal in log if seal.day == day) for day in unsealed})
    return {day for day, count in unsealed.items() if count > 0}


def check_nothing_lost(lake: Lake, streams: Sequence[Stream], day: date, *, today: date) -> list[str]:
    """One line for each landed file of `day` that is not wholly in `records`; none where all of it is.

    Compares sizes and byte ranges; `run --rehash` compares the bytes.
    """
    lost = []
    sources = complete_sources(lake)
    for stream in streams:
        if not stream.is_dated and day != today:
            continue
        states = newest_states(sources, stream.name)
        for landed in list_landing(lake.places.landing, stream, day):
            source_id = canonical.source_id(stream.name, landed.name)
            if states.is_unchanged(source_id, landed.size, landed.mtime_ns):
                continue
            if complaint := _complaint(landed, states.get(source_id)):
                lost.append(f"{stream.name}: {stream.fixed_folder / landed.name.lstrip('/')}: {complaint}")
    return lost


def _complaint(landed: Landed, state: SourceState | None) -> str | None:
    if state is None:
        return "not taken in"
    if not state.is_complete:
        return f"taken in up to byte {state.end} only; run this day again"
    if state.size_bytes != landed.size:
        return f"was {state.size_bytes} bytes when taken in and is {landed.size} now; run this day again"
    return None


class _Worker:
    """Takes in one (stream, day). State: the next batch number, and what was counted."""

    def __init__(self, lake: Lake, stream: Stream, day: date, now: Clock, entropy: Entropy, *, rehash: bool) -> None:
        self._rehash = rehash
        self._adopted: set[str] = set()
        self._zone = open_zone(lake.places.landing, lake.places.own)
        self._lake, self._stream, self._day, self._now, self._entropy = lake, stream, day, now, entropy
        self._batch_day = day.isoformat() if stream.is_dated else "-"
        self._app = f"ingest/{stream.name}/{self._batch_day}"
        self._records: OpenTable = lake.open(RECORDS)
        self._files = 0
        self._totals: Counter[str] = Counter()
        self._formats: dict[str, str] = {}
        self._written: dict[str, str] = {}
        self.unreadable: list[str] = []

    def run(self) -> StreamCounts:
        while True:
            self._adopt()
            try:
                self._take_in()
            except _Overtaken:
                self.unreadable.clear()
                continue
            break
        complete_sources(self._lake)
        totals = self._totals
        return StreamCounts(
            files=self._files,
            sources=len(self._formats),
            snapshots=totals["snapshots"],
            records=totals["records"],
            quarantined=totals["quarantined"],
            partial_tails=totals["partial_tails"],
            size_bytes=totals["size_bytes"],
            formats=dict(Counter(self._formats.values())),
            data_files=self._written,
        )

    def _adopt(self) -> None:
        """Commit the data files that an earlier attempt or another worker wrote and did not commit."""
        self._records.reload()
        while self._records.files.exists(self._file(number := self._records.transaction(self._app) + 1)):
            try:
                self._check_adoptable(number)
            except ProofError:
                self._records.reload()
                if self._records.transaction(self._app) >= number:
                    continue  # another worker committed it meanwhile: it is no longer what comes next
                raise
            self._commit(number)

    def _check_adoptable(self, number: int) -> None:
        """Whatever lies under the next batch's name is about to become evidence.

        What it says of landed files is believed once: `_batches` compares their bytes, whatever size and time say.

        Raises:
            ProofError: it is not a batch that a run of ours writes next.
        """
        batch = check_batch(self._lake, self._records, self._file(number))
        states = newest_states(complete_sources(self._lake), self._stream.name)
        check_follows(batch, states, self._records.files.path(self._file(number)))
        self._adopted |= {canonical.source_id(batch.stream, snapshot["path"]) for snapshot in batch.snapshots}

    def _take_in(self) -> None:
        sources = complete_sources(self._lake)
        # Of all days: where a stream's path was changed, a source may have been taken in on another day.
        states = newest_states(sources, self._stream.name)
        number = self._records.transaction(self._app)
        waiting: deque[tuple[int, Future[tuple[NewObject, str]]]] = deque()
        with ThreadPoolExecutor(_WORKERS) as pool:
            try:
                for taken in self._batches(states):
                    if len(waiting) > _WORKERS:  # one waits, so that no worker does
                        self._settle(*waiting.popleft())
                    number += 1
                    waiting.append((number, pool.submit(self._write, number, taken, self._now())))
                while waiting:
                    self._settle(*waiting.popleft())
            finally:
                for _, future in waiting:
                    future.cancel()
                    if not future.cancelled() and future.exception() is None:
                        future.result()[0].__exit__()

    def _batches(self, states: SourceStates) -> Iterator[list[Taken]]:
        """Snapshots in batches of about SNAPSHOT_BYTES, so that many small sources share a file and a commit."""
        batch: list[Taken] = []
        size_bytes, records = 0, 0
        landed_files = list_landing(self._lake.places.landing, self._stream, self._day)
        self._files = len(landed_files)
        for landed in landed_files:
            source_id = canonical.source_id(self._stream.name, landed.name)
            rehash = self._rehash or source_id in self._adopted
            if states.is_unchanged(source_id, landed.size, landed.mtime_ns) and not rehash:
                continue
            try:
                for taken in take(
                    self._zone,
                    self._lake.evidence,
                    self._stream,
                    landed,
                    self._day,
                    states.get(source_id),
                    self._entropy,
                    rehash=rehash,
                ):
                    is_full = size_bytes + taken.size_bytes > SNAPSHOT_BYTES or records + taken.count > SNAPSHOT_RECORDS
                    if batch and (is_full or len(batch) >= _BATCH_SOURCES):
                        yield batch
                        batch, size_bytes, records = [], 0, 0
                    batch.append(taken)
                    size_bytes += taken.size_bytes
                    records += taken.count
            except InputError as err:
                self.unreadable.append(str(err))
        if batch:
            yield batch

    def _write(self, number: int, taken: list[Taken], now: datetime) -> tuple[NewObject, str]:
        lake_id, name = self._lake.lake_id, self._file(number)
        return write_batch(self._records, name, lake_id, self._stream.name, self._batch_day, number, taken, now)

    def _settle(self, number: int, future: "Future[tuple[NewObject, str]]") -> None:
        """Give the batch's file its name and commit it; strictly in order, so that no number is ever skipped."""
        new, digest = future.result()
        with new:
            if not new.publish():
                raise _Overtaken
        self._commit(number)
        self._written[self._file(number)] = digest

    def _commit(self, number: int) -> None:
        """Commit data file `number`, whoever wrote it."""
        name = self._file(number)
        batch = read_batch(self._records, name)
        file = describe_file(self._records, name)
        entries = tuple(batch.entry_texts())
        self._records.commit(Commit(milliseconds(batch.time), self._app, number, (file,), entries), number - 1)
        for snapshot in batch.snapshots:
            for key in ("quarantined", "partial_tails"):
                self._totals[key] += snapshot[key]
            self._formats[snapshot["path"]] = snapshot["format"]
        self._totals["snapshots"] += len(batch.snapshots)
        self._totals["records"] += file.rows
        self._totals["size_bytes"] += file.size_bytes

    def _file(self, number: int) -> str:
        return batch_file(self._stream.name, self._batch_day, number)


def system_entropy(count: int) -> bytes:
    """Random bytes from the operating system."""
    return os.urandom(count)
