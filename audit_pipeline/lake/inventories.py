"""Inventories in their folder, and the stored files that they name."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from audit_pipeline import tlog
from audit_pipeline.errors import ProofError, StorageError, UnreachableError
from audit_pipeline.lake.declared import SEALS, TABLES
from audit_pipeline.lake.logbook import published_keys
from audit_pipeline.lake.marks import newest_mark
from audit_pipeline.lake.opened import Lake

FOLDER = "_inventory"
_NUMBER = re.compile("[1-9][0-9]{0,17}")
_WORKERS = 2
_AT_ONCE = 1000


def inventory_name(number: int) -> str:
    return f"{FOLDER}/{number}"


def inventory_numbers(lake: Lake) -> list[int]:
    """Of the inventories that are there, in order."""
    names = (name.removeprefix(f"{FOLDER}/") for name in lake.evidence.names(FOLDER))
    return sorted(int(name) for name in names if _NUMBER.fullmatch(name))


def newest_number(lake: Lake) -> int:
    """Number of the newest inventory; 0 where there is none."""
    return max(inventory_numbers(lake), default=0)


def read_inventory(
    lake: Lake, number: int, verifiers: Iterable[tlog.Verifier]
) -> tuple[tlog.Inventory, str] | tuple[None, None]:
    """(inventory, SHA-256 of its bytes); a pair of None where there is none of this number.

    Raises:
        ProofError: it is not signed by these keys, or is another inventory under this name.
    """
    note = lake.evidence.get(inventory_name(number))
    if note is None:
        return None, None
    path = lake.evidence.path(inventory_name(number))
    try:
        inventory = tlog.open_inventory(note, verifiers)
    except ProofError as err:
        raise ProofError(f"{path}: {err}") from err
    if (inventory.lake, inventory.number) != (lake.lake_id, number):
        raise ProofError(f"{path}: is inventory {inventory.number} of lake {inventory.lake}")
    return inventory, hashlib.sha256(note).hexdigest()


def check_goes_on(lake: Lake) -> dict[str, int]:
    """Check that the lake goes on from what its newest mark covers, before anything is added to it.

    Gives back the newest commit of each table that the mark's inventory covers.

    Raises:
        StorageError: it was restored from a backup, or cut.
        ProofError: the inventory is not the one that was signed, or another program committed to a table since.
    """
    _, mark = newest_mark(lake.marks)
    inventory = None if mark is None or mark.inventory is None else _marked(lake, mark.inventory)
    covered = dict(inventory.tables) if inventory else {}
    if mark is not None:
        covered[SEALS.name] = max(mark.size, covered.get(SEALS.name, -1))  # one commit an entry
    for name in TABLES:
        table, least = lake.find_named(name), covered.get(name, -1)
        there = -1 if table is None else table.version
        if there < least:
            raise StorageError(
                f"{lake.places.lake}: table {name} is at version {there}, the newest mark covers {least}: the "
                "lake was cut or restored from an older backup; see docs/recovery.md, `An older backup`"
            )
        if table is not None:
            for _ in table.commits(max(least, 0) + 1, there):
                pass  # reading one refuses it where it is not ours
    return covered


def _marked(lake: Lake, digest: str) -> tlog.Inventory:
    newest, keys = newest_number(lake), published_keys(lake).keys
    for number in (newest, newest - 1):  # a crash can leave one that no mark names yet
        inventory, found = read_inventory(lake, number, keys)
        if inventory is not None and found == digest:
            return inventory
    raise StorageError(
        f"{lake.evidence.path(FOLDER)}: none of the newest inventories is the one that the newest mark names; "
        "see docs/recovery.md, `An older backup`"
    )


def digest_files(lake: Lake, paths: Iterable[str]) -> Iterator[tuple[str, tlog.StoredFile | StorageError | None]]:
    """Each path with what is stored there, None for no file, or why it cannot be read; in order, on two cores."""
    waiting = iter(paths)
    with ThreadPoolExecutor(_WORKERS) as pool:
        while some := list(islice(waiting, _AT_ONCE)):
            yield from zip(some, pool.map(lambda path: _digest(lake, path), some), strict=True)


def _digest(lake: Lake, path: str) -> tlog.StoredFile | StorageError | None:
    try:
        store, name = lake.find_stored(path)
        found = store.digest(name)
    except UnreachableError:
        raise
    except StorageError as err:
        return err
    return None if found is None else tlog.StoredFile(path, *found)
