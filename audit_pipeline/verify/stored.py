"""The bytes: every stored file against the inventories, and no file that nothing of ours put there."""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from audit_pipeline import tlog
from audit_pipeline.derive import AGAIN_APP, DERIVE_APP
from audit_pipeline.errors import StorageError
from audit_pipeline.lake.audit_rows import audit_file
from audit_pipeline.lake.declared import AUDIT_TABLES, RECORDS, SEALS, SOURCES
from audit_pipeline.lake.inventories import digest_files, inventory_name, inventory_numbers, read_inventory
from audit_pipeline.lake.logbook import draft_name, handover_name, seal_file
from audit_pipeline.lake.logs_on_disk import LAST_CHECKPOINT
from audit_pipeline.lake.marks import newest_mark
from audit_pipeline.lake.objects import PROBE
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.places import RELEASED
from audit_pipeline.lake.projection import SOURCES_APP
from audit_pipeline.lake.stores import open_store
from audit_pipeline.verify.findings import CheckedLog, Findings
from audit_pipeline.verify.stamps import STAMP, is_due_stamp
from audit_pipeline.verify.tables import Replay, pointed_version

_OBJECT = re.compile(r"evidence/[a-z][a-z0-9_-]*/[0-9a-f]{64}/[0-9]+-[0-9]+(\.line)?(\.[0-9]+)?\.zst")
_DRAFT = re.compile(r"evidence/_seals/([0-9]{4}-[0-9]{2}-[0-9]{2})/([0-9]{1,9})")
_BATCH = re.compile(r"_?[a-z][a-z0-9_-]*/(?:-|[0-9]{4}-[0-9]{2}-[0-9]{2})")
_AUDIT_APP = re.compile(r"[a-z][a-z0-9_-]*(?:/[0-9a-f-]+)?")  # of a release by its key, of findings by their day
_DERIVED = re.compile(r"([1-9][0-9]{0,17})(?:-([1-9][0-9]{0,17}))?\.parquet")
_UNFINISHED = re.compile(r"(.*/)?\.[^/]+\.[0-9a-f]{8}\.tmp")
_CURE = "restore it from a backup"


@dataclass(slots=True)
class Listed:
    """What the inventories say is stored."""

    files: dict[str, tlog.StoredFile] = field(default_factory=dict)
    """By path; of a file that was replaced, the newest."""
    tables: dict[str, int] = field(default_factory=dict)
    """The newest commit of each table that is covered."""
    digests: list[str] = field(default_factory=list)
    numbers: tuple[int, ...] = ()
    """Of the inventories that are there."""
    log_size: int = 0
    """Entries of the log that are covered, so a checkpoint was of no fewer."""


def read_inventories(lake: Lake, keys: tlog.LogKeys, findings: Findings) -> Listed:
    """The chain of inventories, each signed by the key in force, and no shorter than the newest mark says."""
    numbers = inventory_numbers(lake)
    listed = Listed(numbers=tuple(numbers))
    if gaps := [number for at, number in enumerate(numbers, start=1) if number != at]:
        findings.add("inventory", f"inventory {gaps[0]}: the one before is missing, or this was put there; {_CURE}")
    for number in numbers:
        found = findings.guard("inventory", lambda number=number: _read(lake, number, keys, listed.log_size))  # type: ignore[misc]
        inventory, digest = found or (None, None)
        if inventory is None or digest is None:
            continue
        if inventory.previous != (listed.digests[-1] if listed.digests else None):
            findings.add("inventory", f"inventory {number}: does not follow on the one before; {_CURE}")
        _check_not_replaced(inventory, listed, findings)
        listed.digests.append(digest)
        listed.files.update((file.path, file) for file in inventory.files)
        listed.tables.update(inventory.tables)
        listed.log_size = inventory.log_size
    _, mark = newest_mark(lake.marks)
    marked = mark.inventory if mark else None
    if marked is not None and marked not in listed.digests[-2:]:
        findings.add("inventory", f"none of the newest inventories is the one that the mark names: {marked}; {_CURE}")
    return listed


def _read(lake: Lake, number: int, keys: tlog.LogKeys, size: int) -> tuple[tlog.Inventory, str] | tuple[None, None]:
    """An inventory signed by a key that was in force when it was made, after others that cover `size` entries.

    Two were where it is the first to cover a `key` entry: another worker may have begun it before.
    """
    found = read_inventory(lake, number, keys.keys)
    if found[0] is not None:
        read_inventory(lake, number, {keys.in_force(size), keys.in_force(max(found[0].log_size, size))})
    return found


def _check_not_replaced(inventory: tlog.Inventory, listed: Listed, findings: Findings) -> None:
    """Stored files are written once: one that is listed again with other bytes was forged by who has the key."""
    for file in inventory.files:
        if listed.files.get(file.path, file) != file and not file.path.endswith(LAST_CHECKPOINT):
            findings.add_file(file.path, f"inventory {inventory.number} lists other bytes than one before; {_CURE}")


def check_bytes(lake: Lake, listed: Listed, is_wanted: Callable[[str], bool], findings: Findings) -> None:
    """Every listed file has the bytes it had when it was listed."""
    wanted = sorted(filter(is_wanted, listed.files))
    for path, found in digest_files(lake, wanted):
        if found is None:
            findings.add_file(path, f"missing; {_CURE}")
        elif isinstance(found, StorageError):
            findings.add_file(path, str(found))
        elif found != listed.files[path] and not _is_newer_pointer(lake, path, listed):
            findings.add_file(path, f"its bytes are not those that were stored; {_CURE}")
        findings.files += 1


def check_names(
    lake: Lake,
    listed: Listed,
    replays: dict[str, Replay],
    objects: Collection[str],
    log: CheckedLog,
    findings: Findings,
) -> None:
    """No file is there that nothing of ours put there; what no inventory lists yet is told."""
    known = {f"evidence/{name}" for name in objects}
    known.update(path for replay in replays.values() for path in replay.stored())
    known.update(f"evidence/{draft_name(seal.day, seal.segment)}" for seal in log.entries)
    known.update(("log/checkpoint", "log/vkey"))
    handovers = sum(seal.kind == "key" for seal in log.entries)
    by_themselves = {"log/checkpoint", *(f"evidence/{inventory_name(n)}" for n in listed.numbers)}
    by_themselves.update(f"log/{handover_name(number)}" for number in range(1, handovers + 1))
    waiting, left = 0, []
    for path in _stored_files(lake, findings):
        if path in listed.files or path in by_themselves:
            continue
        if (stamp := STAMP.fullmatch(path)) and is_due_stamp(lake, int(stamp[1]), len(log.entries)):
            continue  # compared with the entries too
        if path in known or _is_tile(path):  # a tile's bytes are compared with the entries
            waiting += 1
        elif _OBJECT.fullmatch(path) or _UNFINISHED.fullmatch(path) or _is_next(path, replays, log):
            left.append(path)
        else:
            findings.add_file(path, "nothing of ours put this file there: look at it, then move it away")
    if waiting:
        findings.notes.append(
            f"{waiting} files are in no inventory yet, so not protected: the next run with new logs lists them"
        )
    if left:
        findings.notes.append(
            f"{len(left)} files that no commit names, such as {left[0]}: a run that ended early left them and the next "
            "takes them up, or they were put there"
        )


def _is_next(path: str, replays: dict[str, Replay], log: CheckedLog) -> bool:
    """Whether a run that died can have written this file and not come to commit it."""
    if match := _DRAFT.fullmatch(path):
        return int(match[2]) == 1 + sum(seal.day.isoformat() == match[1] for seal in log.entries)
    for replay in replays.values():
        if path.startswith(f"{replay.folder}/"):
            file = path.removeprefix(f"{replay.folder}/")
            return _is_next_file(replay, file, replays[RECORDS.name].table.version, len(log.entries))
    return False


def _is_next_file(replay: Replay, file: str, commits: int, entries: int) -> bool:
    """Whether this is a table's next data file. `commits`: of `records`; `entries`: of the log."""
    table, numbers, folder = replay.table.table, replay.numbers, file.rpartition("/")[0]
    if table == SEALS:
        return file == seal_file(entries)
    if table == RECORDS:
        return bool(_BATCH.fullmatch(folder)) and file == audit_file(folder, numbers.get(f"ingest/{folder}", 0) + 1)
    if table in AUDIT_TABLES:
        return bool(_AUDIT_APP.fullmatch(folder)) and file == audit_file(folder, numbers.get(folder, 0) + 1)
    named = _DERIVED.fullmatch(file)
    if named is None:
        return False
    done = numbers.get(SOURCES_APP if table == SOURCES else DERIVE_APP, 0)
    if named[2] is None:
        return done < int(named[1]) <= commits
    return table != SOURCES and int(named[1]) <= done and int(named[2]) == numbers.get(AGAIN_APP, 0) + 1


def _is_newer_pointer(lake: Lake, path: str, listed: Listed) -> bool:
    """Whether this is a table's pointer to its newest Delta checkpoint, moved on since it was listed."""
    folder, found, _ = path.partition(f"/{LAST_CHECKPOINT}")
    if not found:
        return False
    store, name = lake.find_stored(folder)
    pointed = pointed_version(open_store(store.root / name))
    return pointed is not None and pointed > listed.tables.get(folder.rpartition("/")[2], 0)


def _is_tile(path: str) -> bool:
    return path.startswith("log/tile/")


def _stored_files(lake: Lake, findings: Findings) -> Iterator[str]:
    """Paths of all files of lake, evidence and log, as inventories write them; what is no such file is a problem."""
    for area, store in lake.areas.items():
        for listed in store.listed():
            path = f"{area}/{listed.name}".rstrip("/")
            if listed.fault:
                findings.add_file(path, listed.fault)
            elif area == "lake" and lake.places.released is not None and listed.name.startswith(f"{RELEASED}/"):
                findings.add_file(path, f"released tables lie in {lake.places.released}: nothing of ours put this here")
            elif listed.name != PROBE:
                yield path
