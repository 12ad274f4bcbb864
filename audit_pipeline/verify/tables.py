"""The Delta logs, replayed: every commit is one of ours, says what its files say, and engines see no other table."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq

from audit_pipeline.derive import AGAIN_APP, DERIVE_APP
from audit_pipeline.derive.event_files import event_file, version_of
from audit_pipeline.lake.audit_rows import audit_file
from audit_pipeline.lake.batches import batch_file
from audit_pipeline.lake.commits import (
    Commit,
    DataFile,
    adapter_app,
    add_action,
    commit_file,
    format_creation,
    is_checkpointed,
    is_creation,
    remove_action,
)
from audit_pipeline.lake.data_files import describe_file
from audit_pipeline.lake.declared import (
    AUDIT_TABLES,
    EVENTS,
    EVIDENCE_TABLES,
    RECORDS,
    RELEASES,
    SEALS,
    SOURCES,
    TABLES,
    Table,
)
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.lake.logbook import LOG_APP, seal_file
from audit_pipeline.lake.logs_on_disk import LAST_CHECKPOINT, checkpoint_file
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.projection import SOURCES_APP
from audit_pipeline.lake.stores import Store
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.verify.findings import Findings

_COMMIT = re.compile(r"_delta_log/[0-9]{20}\.json")
_CHECKPOINT_SUFFIX = ".checkpoint.parquet"


@dataclass(slots=True)
class Replay:
    """A table by its own commits."""

    table: OpenTable
    commits: dict[int, Commit] = field(default_factory=dict)
    """By version, those that are ours."""
    numbers: dict[str, int] = field(default_factory=dict)
    """The newest transaction of each application."""

    def active(self, version: int | None = None) -> dict[str, tuple[Commit, DataFile]]:
        """The data files of a version, or of the newest one, by name, each with the commit that brought it."""
        files: dict[str, tuple[Commit, DataFile]] = {}
        for at, commit in self.commits.items():
            if version is None or at <= version:
                files |= {file.name: (commit, file) for file in commit.files}
                for name in commit.replaced:
                    files.pop(name, None)
        return files

    @property
    def folder(self) -> str:
        """Where it lies, as inventories write it."""
        return self.table.table.folder

    def stored(self) -> Iterator[str]:
        """Every file that the commits make the table's, as inventories write it."""
        names = [commit_file(0), *map(commit_file, self.commits)]
        checkpoints = list(filter(is_checkpointed, self.commits))
        names += [*map(checkpoint_file, checkpoints), *([LAST_CHECKPOINT] if checkpoints else [])]
        for commit in self.commits.values():
            names += [file.name for file in commit.files]
        return (f"{self.folder}/{name}" for name in names)


def pointed_version(files: Store) -> int | None:
    """The version of the Delta checkpoint that a table's pointer names; None where it is not as delta-rs writes it."""
    try:
        said = json.loads(files.get(LAST_CHECKPOINT) or b"")
    except (ValueError, RecursionError):
        return None
    is_plain = isinstance(said, dict) and said.keys() == {"version", "size", "sizeInBytes", "numOfAddFiles"}
    return said["version"] if is_plain and all(isinstance(value, int) for value in said.values()) else None


def replay_tables(lake: Lake, findings: Findings) -> dict[str, Replay]:
    """Every table that is there, checked; an evidence table that is not there is a problem."""
    replays = {}
    for name, table in TABLES.items():
        opened = findings.guard(name, lambda table=table: lake.find(table))  # type: ignore[misc]
        if opened is not None:
            replays[name] = _replay(opened, findings)
        elif table in EVIDENCE_TABLES and not findings.has_problem_of(name):
            place = table.uri(lake.places)
            findings.add(name, f"{place}: there is no such table; nothing was run here, or it was removed")
    records = replays.get(RECORDS.name)
    for replay in replays.values():
        _check_transactions(replay, records.table.version if records else 0, findings)
    return replays


def _replay(table: OpenTable, findings: Findings) -> Replay:
    name, replay = table.table.name, Replay(table)
    path = str(table.files.path(commit_file(0)))
    is_ours = findings.guard(
        name, lambda: is_creation(table.files.get(commit_file(0)) or b"", table.table, table.lake_id, path)
    )
    if is_ours is False:
        findings.add(name, f"{path}: does not say what this program writes there; restore it from a backup")
    there = sum(map(bool, map(_COMMIT.fullmatch, table.files.names("_delta_log"))))
    if there != table.version + 1:
        findings.add(name, f"{table.path}: is at version {table.version}, but has {there} commits")
    for version in range(1, min(there - 1, table.version) + 1):
        found = findings.guard(name, lambda version=version: next(table.commits(version, version)))  # type: ignore[misc]
        if found is not None:
            replay.commits[version] = found[1]
    return replay


def check_files(replay: Replay, is_wanted: Callable[[str], bool], findings: Findings) -> None:
    """Each commit says of its data files what they are; checkpoints and engines show the same files."""
    table, seen = replay.table, set[str]()
    name = table.table.name
    for version, commit in replay.commits.items():
        for file in commit.files:
            if file.name in seen:
                findings.add(name, f"commit {version}: {file.name} is there twice")
            seen.add(file.name)
            if not is_wanted(f"{replay.folder}/{file.name}"):
                continue
            stored = findings.guard(name, lambda file=file: describe_file(table, file.name))  # type: ignore[misc]
            if stored is not None and stored != file:
                findings.add(name, f"commit {version}: says of {file.name} what the file does not: {file.stats}")
    if len(replay.commits) == table.version and table.active_files() != sorted(replay.active()):
        findings.add(name, f"{table.path}: engines read other files than its commits name")
    if table.files.exists(LAST_CHECKPOINT):
        pointed = pointed_version(table.files)
        if pointed is None or not table.files.exists(checkpoint_file(pointed)):
            findings.add(name, f"{table.files.path(LAST_CHECKPOINT)}: not as it is written here; remove it")
    for checkpoint in _checkpoints(table):
        findings.guard(name, lambda checkpoint=checkpoint: _check_checkpoint(replay, checkpoint, findings))  # type: ignore[misc]


def _check_transactions(replay: Replay, records_version: int, findings: Findings) -> None:
    """Each commit follows on the one before of its application, and names the files that this one must have."""
    table, active = replay.table.table, set[str]()
    for version, commit in replay.commits.items():
        before = replay.numbers.get(commit.app, 0)
        names = [file.name for file in commit.files]
        if commit.app == AGAIN_APP and table.name in EVENTS:
            done = replay.numbers.get(DERIVE_APP, 0)
            is_next = _is_derived_again(commit, before, names, active, done)
        else:
            is_next = _expected(table, commit, before, names, records_version) and commit.number > before
        active = active.difference(commit.replaced).union(names)
        if is_next:
            replay.numbers |= {commit.app: commit.number}
            replay.numbers |= {adapter_app(name): number for name, number in commit.adapters}
        else:
            said = f"{commit.app} {commit.number} after {before}, with {names[:3]}"
            findings.add(table.name, f"commit {version}: {said}: not what a run of ours commits there")


def _expected(table: Table, commit: Commit, before: int, names: list[str], records_version: int) -> bool:
    number, app = commit.number, commit.app
    if commit.replaced or (commit.adapters and table.name not in EVENTS):
        return False
    if table == RECORDS:
        kind, _, batch = app.partition("/")
        stream, _, day = batch.rpartition("/")
        is_next = kind == "ingest" and number == before + 1 and commit.entries is not None
        return is_next and names == [batch_file(stream, day, number)]
    if commit.entries is not None:
        return False
    if table == SEALS:
        return app == LOG_APP and number == before + 1 and names == [seal_file(before)]
    if table in AUDIT_TABLES:
        is_once = table != RELEASES or number == 1
        return is_once and number == before + 1 and names == [audit_file(app, number)]
    covered = [f"{version}.parquet" for version in range(before + 1, number + 1)]
    if table == SOURCES:
        return app == SOURCES_APP and number <= records_version and sorted(names) == sorted(covered)
    return app == DERIVE_APP and number <= records_version and set(names) <= set(covered)


def _is_derived_again(commit: Commit, before: int, names: list[str], active: set[str], done: int) -> bool:
    """Rows of the commits of `records` from one on, as far as they were derived, in place of all there were of them."""
    versions = sorted(map(version_of, names))
    first = min([*versions, *map(version_of, commit.replaced)], default=done + 1)
    return (
        commit.number == before + 1
        and commit.entries is None
        and names == [event_file(version, commit.number) for version in map(version_of, names)]
        and (not versions or versions[-1] <= done)
        and list(commit.replaced) == sorted(name for name in active if version_of(name) >= first)
    )


def _checkpoints(table: OpenTable) -> list[str]:
    return [name for name in table.files.names("_delta_log") if name.endswith(_CHECKPOINT_SUFFIX)]


def _check_checkpoint(replay: Replay, name: str, findings: Findings) -> None:
    """A Delta checkpoint stands for the commits up to its version: it must say what they say."""
    table, path = replay.table, replay.table.files.path(name)
    version = name.removeprefix("_delta_log/").removesuffix(_CHECKPOINT_SUFFIX)
    expected = _actions(replay, int(version)) if version.isdecimal() else None
    with decoding(path):
        found = sorted(_normal(action) for action in pq.read_table(table.files.file(name)).to_pylist())
    if expected is None or found != expected:
        findings.add(table.table.name, f"{path}: does not say what the commits say; remove it, engines do without")


def _actions(replay: Replay, version: int) -> list[str]:
    """What a checkpoint of this version holds."""
    creation = format_creation(replay.table.table, replay.table.lake_id)
    actions: list[dict[str, Any]] = [json.loads(line) for line in creation.splitlines()][1:]
    actions += [add_action(file, commit.time_ms) for commit, file in replay.active(version).values()]
    newest: dict[str, int] = {}
    for at, commit in replay.commits.items():
        if at <= version:
            newest |= {commit.app: commit.number}
            newest |= {adapter_app(name): number for name, number in commit.adapters}
            actions += [remove_action(name, commit.time_ms) for name in commit.replaced]
    actions += [{"txn": {"appId": app, "version": number}} for app, number in newest.items()]
    return sorted(map(_normal, actions))


def _normal(action: Any) -> str:
    """An action in one form, whether it was read from JSON or from Parquet, where maps are pairs."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(member) for key, member in value.items() if member is not None}
        if isinstance(value, list):
            return {key: plain(member) for key, member in value} if _is_map(value) else [plain(one) for one in value]
        return value

    kept = plain(action)
    for emptied in ("partitionValues", "partitionColumns", "options"):
        _drop_empty(kept, emptied)
    return json.dumps(kept, sort_keys=True, default=str)


def _is_map(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value)


def _drop_empty(value: Any, key: str) -> None:
    """An empty map and an empty list look alike in Parquet."""
    if isinstance(value, dict):
        if value.get(key) in ([], {}):
            del value[key]
        for member in value.values():
            _drop_empty(member, key)
