"""Event tables brought up to the newest commit of `records`, by the newest versions of the adapters."""

from collections.abc import Callable, Collection, Iterable

from audit_pipeline.derive.attempts import Attempts
from audit_pipeline.derive.event_files import EventFile, event_file, version_of
from audit_pipeline.derive.event_rows import derived_rows
from audit_pipeline.errors import InputError
from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.lake.audit_rows import AUDIT_APP
from audit_pipeline.lake.batches import read_batch
from audit_pipeline.lake.commits import Commit, DataFile
from audit_pipeline.lake.declared import EVENTS, RECORDS, SEALS
from audit_pipeline.lake.keys import load_person_keys
from audit_pipeline.lake.logbook import check_names_go_on, read_log
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.projection import complete_sources
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records.canonical import NONCE_BYTES
from audit_pipeline.records.pseudonyms import PersonKeys

DERIVE_APP = "derive"
AGAIN_APP = "derive/again"
_COMMITS_AT_ONCE = 16
"""Half a gigabyte of records, of whose metrics some 300 MB are kept to count attempts."""

Entropy = Callable[[int], bytes]


def derive_events(lake: Lake, entropy: Entropy, *, passphrase: bytes | None) -> dict[str, int]:
    """Bring every event table up to the newest commit of `records`; gives back the rows added to each.

    What an older version of an adapter made is derived again first, in a table version that has the new rows in place
    of the old; those stay in the version before.

    Raises:
        InputError: the keys by which people are named are missing, do not open, or are not those the log names; or a
            newer version of an adapter was at work here.
    """
    people = load_person_keys(lake.places.keys, passphrase)
    if (seals := lake.find(SEALS)) is not None:
        check_names_go_on(lake, read_log(seals), people)
    deriving = _Deriving(lake, people, entropy)
    deriving.derive_again()
    return deriving.derive_new()


def older_adapters(table: OpenTable, formats: Collection[str]) -> set[str]:
    """The adapters of these formats of which an older version made rows of an event table.

    Raises:
        InputError: of one, a newer version did.
    """
    older = set[str]()
    if table.version == 0:
        return older
    for adapter in (ADAPTERS[name] for name in formats if name in ADAPTERS):
        version = table.adapter_version(adapter.name)
        if version > adapter.version:
            raise InputError(
                f"{table.path}: was derived by version {version} of {adapter.name}, here is version {adapter.version}; "
                f"install the newer version of what reads {adapter.name}"
            )
        if 0 < version < adapter.version:
            older.add(adapter.name)
    return older


class _Deriving:
    def __init__(self, lake: Lake, people: PersonKeys, entropy: Entropy) -> None:
        self._lake, self._people, self._entropy = lake, people, entropy
        self._records = lake.open(RECORDS)
        self._tables = {name: lake.open(table) for name, table in EVENTS.items()}

    def derive_new(self) -> dict[str, int]:
        added = dict.fromkeys(EVENTS, 0)
        waiting = self._records.commits(min(map(_derived, self._tables.values())) + 1, self._records.version)
        if all(commit.app == AUDIT_APP for _, commit in waiting):
            return added  # nothing comes of these: a run that only seals what the one before wrote adds no commits
        while (done := min(map(_derived, self._tables.values()))) < self._records.version:
            last = min(self._records.version, done + _COMMITS_AT_ONCE)
            # A crash between two tables leaves one of them ahead: what it has is not committed again.
            after = {name: _derived(table) for name, table in self._tables.items()}
            wanted = {name: (range(version + 1, last + 1), 0) for name, version in after.items()}
            files, adapters, time_ms = self._derive(range(done + 1, last + 1), wanted)
            for name, table in self._tables.items():
                commit = Commit(time_ms, DERIVE_APP, last, tuple(files[name]), adapters=_versions(adapters))
                if after[name] < last and table.commit(commit, after[name]):
                    added[name] += sum(file.rows for file in files[name])
        return added

    def derive_again(self) -> None:
        """Replace the rows from the first one on that an older version of an adapter made: attempts are counted."""
        formats = set(complete_sources(self._lake).read(["format"]).column("format").unique().to_pylist())
        older = {name: older_adapters(table, formats) for name, table in self._tables.items()}
        behind = {name: self._tables[name] for name, adapters in older.items() if adapters}
        if not behind:
            return
        first = self._first_commit_of(set().union(*older.values()))
        wanted = {
            name: (range(first, _derived(table) + 1), table.transaction(AGAIN_APP) + 1)
            for name, table in behind.items()
        }
        files, adapters, time_ms = self._derive(range(first, max(map(_derived, behind.values())) + 1), wanted)
        for name, table in behind.items():
            _, again = wanted[name]
            replaced = tuple(file for file in table.active_files() if version_of(file) >= first)
            versions = _versions(adapters | older[name])
            table.commit(
                Commit(time_ms, AGAIN_APP, again, tuple(files[name]), adapters=versions, replaced=replaced), again - 1
            )

    def _first_commit_of(self, adapters: Collection[str]) -> int:
        for version, commit in self._records.commits(1, self._records.version):
            for file in commit.files:
                if any(snapshot["format"] in adapters for snapshot in read_batch(self._records, file.name).snapshots):
                    return version
        return self._records.version + 1

    def _derive(
        self, commits: range, wanted: dict[str, tuple[range, int]]
    ) -> tuple[dict[str, list[DataFile]], set[str], int]:
        """(files of each table, adapters that were needed, time in ms of the newest record) of commits of `records`.

        `wanted` are the tables to write, and for each the commits of which it gets the rows, and the round.
        """
        files: dict[str, list[DataFile]] = {name: [] for name in wanted}
        adapters: set[str] = set()
        time_ms = 0
        attempts = Attempts(self._tables, before=commits.start)
        for version, commit in self._records.commits(commits.start, commits.stop - 1):
            outputs = {
                name: EventFile(self._tables[name], event_file(version, again), self._entropy(NONCE_BYTES))
                for name, (covered, again) in wanted.items()
                if version in covered
            }
            for adapter, events in derived_rows(self._lake, self._records, commit, self._people):
                adapters.add(adapter)
                for name, rows in events.items():
                    numbered = attempts.number(name, rows)
                    if name in outputs:
                        outputs[name].write(numbered)
            for name, output in outputs.items():
                if (file := output.close()) is not None:
                    files[name].append(file)
            time_ms = max(time_ms, commit.time_ms)
        return files, adapters, time_ms


def _derived(table: OpenTable) -> int:
    """The newest commit of `records` that an event table has the rows of."""
    return table.transaction(DERIVE_APP)


def _versions(adapters: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple((name, ADAPTERS[name].version) for name in sorted(adapters) if ADAPTERS[name].has_events)
