"""Evidence bundles of records, and proofs of days, made from what is stored and checked before they are given back.

Reads only. What is not under the published checkpoint is refused: a proof of it would show nothing yet.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date
from itertools import chain

from audit_pipeline import tlog
from audit_pipeline.check import check_day, check_source
from audit_pipeline.errors import InputError, ProofError, StorageError
from audit_pipeline.lake.ahead import map_ahead
from audit_pipeline.lake.declared import RECORDS, SEALS, Table
from audit_pipeline.lake.hashing import hash_nodes
from audit_pipeline.lake.logbook import draft_entries, published_keys, read_handovers, read_log
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.picking import PickedRows, pick_rows
from audit_pipeline.lake.rows import SnapshotName
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.lookup import RecordName, locate
from audit_pipeline.tlog.bundle import Bundle, BundledSeal, BundledSource, format_bundle
from audit_pipeline.tlog.multiproof import prove_leaves
from audit_pipeline.tlog.trust import Trust

_RUN = "run `audit-pipeline run` for it first"
_VERIFY = "run `audit-pipeline verify`, which names what was changed"


@dataclass(frozen=True, slots=True)
class SignedLog:
    """The log as far as its published checkpoint signs it."""

    note: bytes
    checkpoint: tlog.Checkpoint
    seals: tuple[tlog.SealEntry, ...]
    leaves: bytes
    handovers: tuple[bytes, ...]


def prove_records(lake: Lake, names: Sequence[RecordName], held: tlog.Checkpoint | None = None) -> bytes:
    """A bundle of these records, each once, with a consistency proof from the checkpoint `held`.

    Raises:
        InputError: a record is not there or not sealed yet, or `held` is of another log.
        ProofError: what is stored does not hold, so no bundle of it would.
    """
    if not names:
        raise InputError("no record is named; name some")
    log = signed_log(lake)
    consistency = None if held is None else _consistency(lake, log, held)
    positions: dict[SnapshotName, set[int]] = {}
    for name in names:
        positions.setdefault((name.source, name.generation, name.snapshot), set()).add(name.position)
    found = locate(lake, positions.keys())
    days = _segments(lake, log, {day for day, _ in found.values()})
    places = _places(days, {snapshot: day for snapshot, (day, _) in found.items()})
    wanted_of_file: dict[str, dict[tlog.SourceEntry, set[int]]] = {}
    for snapshot, place in places.items():
        _check_inside(place.entry, positions[snapshot])
        wanted_of_file.setdefault(found[snapshot][1], {})[place.entry] = positions[snapshot]
    by_place: dict[int, dict[int, BundledSource]] = {}
    for picked in _picked(lake, wanted_of_file):
        place = places.pop((picked.entry.source, picked.entry.generation, picked.entry.snapshot))
        by_place.setdefault(place.seal, {})[place.source] = _bundled(place.source, picked, log.seals[place.seal])
    if places:
        entry = next(iter(places.values())).entry
        raise ProofError(f"source {entry.source} of {entry.day}: no data file has it as it was sealed; {_VERIFY}")
    seals = [
        BundledSeal(
            index=index,
            entry=tlog.format_seal(log.seals[index]),
            nodes=prove_leaves(tlog.hash_leaves(map(tlog.format_source, days[index])), sorted(by_source), hash_nodes),
            sources=tuple(by_source[source] for source in sorted(by_source)),
        )
        for index, by_source in sorted(by_place.items())
    ]
    nodes = prove_leaves(log.leaves, [seal.index for seal in seals], hash_nodes)
    return format_bundle(Bundle(log.note, nodes, consistency, tuple(seals), log.handovers))


def prove_day(lake: Lake, day: date, segment: int | None = None) -> tuple[bytes, bytes]:
    """(`.tlog-proof`, seal entry) of a segment of the day, the last where none is named.

    Raises:
        InputError: the day is not sealed yet, or has no such segment.
        ProofError: the log does not hold.
    """
    log = signed_log(lake)
    of_day = {seal.segment: index for index, seal in enumerate(log.seals) if seal.day == day and seal.kind == "seal"}
    if not of_day:
        raise InputError(f"{day}: is not sealed yet; {_RUN}")
    index = of_day.get(max(of_day) if segment is None else segment)
    if index is None:
        raise InputError(f"{day}: has no segment {segment}, only {', '.join(map(str, of_day))}")
    hashes = tlog.prove_inclusion(log.leaves, index, hash_nodes)
    proof = tlog.format_proof(tlog.InclusionProof(index, hashes, log.note))
    entry = tlog.format_seal(log.seals[index])
    check_day(proof, entry, Trust((tlog.parse_vkey(lake.vkey),)), log.handovers)
    return proof, entry


def signed_log(lake: Lake) -> SignedLog:
    """The log as far as its published checkpoint signs it.

    Raises:
        InputError: nothing is sealed yet.
        ProofError: the checkpoint is not of the log's entries.
    """
    note = lake.log.get("checkpoint")
    if note is None:
        raise InputError(f"{lake.log.path('checkpoint')}: nothing is sealed yet; run `audit-pipeline run` first")
    keys = published_keys(lake)
    checkpoint, opened = tlog.open_checkpoint(note, keys.keys)
    keys.check_signed(checkpoint, opened)
    seals = tuple(read_log(_table(lake, SEALS))[: checkpoint.size])
    leaves = tlog.hash_leaves(map(tlog.format_seal, seals))
    if len(seals) < checkpoint.size or tlog.tree_root(leaves, hash_nodes) != checkpoint.root:
        raise ProofError(f"{lake.log.path('checkpoint')}: is not of the entries in `seals`; {_VERIFY}")
    handovers = tuple(read_handovers(lake)[: sum(seal.kind == "key" for seal in seals)])
    return SignedLog(note, checkpoint, seals, leaves, handovers)


def _table(lake: Lake, table: Table) -> OpenTable:
    found = lake.find(table)
    if found is None:
        raise StorageError(f"{table.uri(lake.places)}: there is no such table any more; restore it from a backup")
    return found


def _consistency(lake: Lake, log: SignedLog, held: tlog.Checkpoint) -> tuple[int, bytes] | None:
    """The proof from a held checkpoint; None where it is of the same tree."""
    if held.origin != lake.origin:
        raise InputError(
            f"the checkpoint you hold is of {held.origin}, this log is {lake.origin}: give one of this log"
        )
    if held.size > log.checkpoint.size:
        raise ProofError(
            f"the checkpoint you hold has size {held.size}, this log only {log.checkpoint.size}; {_VERIFY}"
        )
    if tlog.tree_root(log.leaves[: 32 * held.size], hash_nodes) != held.root:
        raise ProofError(f"the log does not extend the checkpoint you hold, of size {held.size}; keep it as evidence")
    if held.size == log.checkpoint.size:
        return None
    return held.size, b"".join(tlog.prove_consistency(log.leaves, held.size, hash_nodes))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a snapshot is in the log."""

    seal: int
    source: int
    """In the day tree of the seal."""
    entry: tlog.SourceEntry


def _segments(lake: Lake, log: SignedLog, days: Set[date]) -> dict[int, tuple[tlog.SourceEntry, ...]]:
    """By index in the log, the source entries of the seals of these days: they give the seals' roots."""
    return {index: draft_entries(lake, seal) for index, seal in enumerate(log.seals) if seal.day in days}


def _places(
    segments: Mapping[int, Sequence[tlog.SourceEntry]], days: Mapping[SnapshotName, date]
) -> dict[SnapshotName, _Place]:
    places: dict[SnapshotName, _Place] = {}
    for index, entries in segments.items():
        for number, entry in enumerate(entries):
            if (name := (entry.source, entry.generation, entry.snapshot)) in days:
                places[name] = _Place(index, number, entry)
    if unsealed := days.keys() - places.keys():
        source, generation, snapshot = min(unsealed)
        day = days[source, generation, snapshot]
        raise InputError(f"source {source}: snapshot {generation}/{snapshot} of {day} is not sealed yet; {_RUN}")
    return places


def _check_inside(entry: tlog.SourceEntry, positions: Set[int]) -> None:
    last = entry.position + entry.records - 1
    if not entry.position <= min(positions) <= max(positions) <= last:
        raise InputError(
            f"source {entry.source}: snapshot {entry.generation}/{entry.snapshot} has no record {max(positions)}; "
            f"it has {entry.position} to {last}"
        )


def _picked(lake: Lake, wanted_of_file: Mapping[str, Mapping[tlog.SourceEntry, Set[int]]]) -> Iterator[PickedRows]:
    records = _table(lake, RECORDS)
    files = map_ahead(lambda file: pick_rows(records, file, wanted_of_file[file]), sorted(wanted_of_file))
    return chain.from_iterable(files)


def _bundled(index: int, picked: PickedRows, seal: tlog.SealEntry) -> BundledSource:
    """What is picked, once it is found to be what was sealed: what an auditor would refuse must not leave this place.

    The tree's root is that of all rows of the snapshot, so it says of many records at once what `check` says of each.
    """
    entry = picked.entry
    what = f"source {entry.source} of {entry.day}"
    bundled = BundledSource(
        index=index,
        entry=tlog.format_source(entry),
        path=picked.path,
        exceptions=picked.exceptions,
        nodes=picked.proved.nodes,
        records=picked.records,
    )
    check_source(what, bundled, entry, seal)
    if picked.proved.root.hex() != entry.root:
        raise ProofError(f"{what}: expected the root {entry.root}, its rows give {picked.proved.root.hex()}; {_VERIFY}")
    return bundled
