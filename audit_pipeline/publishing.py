"""The log's new head is signed and published: tiles, mark, handovers, checkpoint with its cosignatures, timestamp.

Nothing is signed that does not extend what was signed before and does not follow from the rows. All of it follows from
the entries of the log, so a call that was cut off is finished by the next.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from audit_pipeline import tlog
from audit_pipeline.appending import read_draft
from audit_pipeline.attest import NOBODY, Attesters, cosign
from audit_pipeline.attest.stamps import put_stamp
from audit_pipeline.errors import InputError, ProofError, StorageError
from audit_pipeline.lake.declared import LEDGER, SEALS
from audit_pipeline.lake.hashing import hash_nodes
from audit_pipeline.lake.inventories import newest_number, read_inventory
from audit_pipeline.lake.logbook import handover_name, read_log
from audit_pipeline.lake.marks import chain_hash, newest_mark, put_mark
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.reservations import read_reservations
from audit_pipeline.lake.stores import Store
from audit_pipeline.signers import signers_at

_ATTEMPTS = 100


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint as it was published."""

    note: bytes
    size: int
    warnings: tuple[str, ...]


def publish(
    lake: Lake,
    signers: Sequence[tlog.Signer],
    now: Callable[[], datetime],
    kind: str = "seal",
    attesters: Attesters = NOBODY,
) -> Published:
    """Tiles, mark, handovers, cosigned checkpoint and its timestamp for the log as it stands."""
    marks, log = lake.marks, lake.log
    for _ in range(_ATTEMPTS):
        entries = read_log(lake.open(SEALS))
        leaves = tlog.hash_leaves(map(tlog.format_seal, entries))
        head = tlog.Checkpoint(lake.origin, len(leaves) // 32, tlog.tree_root(leaves, hash_nodes))
        number, mark = newest_mark(marks)
        keys = tlog.keys_of(tlog.parse_vkey(lake.vkey), entries)
        _check_extends(lake, leaves, mark, keys)
        log.put_new("vkey", lake.vkey.encode() + b"\n")
        if mark is None or mark.size < head.size:
            _check_follows_from_rows(lake, entries, mark.size if mark else 0, now, kind)
            _put_tiles(log, leaves)
            after = tlog.Mark(
                lake.origin,
                chain_hash(marks, number),
                head.size,
                head.root.hex(),
                mark.inventory if mark else None,
                mark.ledger if mark else None,
            )
            if not put_mark(marks, number + 1, after):
                continue  # another sealer signed meanwhile: look again at what is there
        else:
            _put_tiles(log, leaves)
        _put_handovers(lake, entries, keys, signers)
        published = log.get("checkpoint")
        signed = _signed(head, signers_at(keys, head.size, signers), published)
        note, warnings = cosign(attesters, signed, published, leaves, keys, now, hash_nodes)
        if published != note:
            log.replace("checkpoint", note)
        # Another sealer may have signed more meanwhile: then this checkpoint took the place of a newer one.
        newest = newest_mark(marks)[1]
        if newest is not None and newest.size == head.size:
            warnings += _stamp(log, attesters, head, note, keys)
            return Published(note, head.size, tuple(warnings))
    raise StorageError(f"{log.root}: no checkpoint could be published in {_ATTEMPTS} attempts; run this day again")


def put_first_mark(lake: Lake) -> tlog.Mark:
    """A mark of what is there, where all marks are lost: checkpoint, newest inventory, newest reservation.

    It cannot say what was there: whoever asks for it has seen that the log extends a checkpoint that somebody else has.

    Raises:
        InputError: there are marks, or nothing was ever published.
        ProofError: what is published or listed is not signed by the log's keys.
    """
    published = lake.log.get("checkpoint")
    if newest_mark(lake.marks)[1] is not None:
        raise InputError(f"{lake.places.marks}: there are marks; nothing to make")
    if published is None:
        raise InputError(f"{lake.log.path('checkpoint')}: nothing was published yet; run the daily job, which marks it")
    keys = tlog.keys_of(tlog.parse_vkey(lake.vkey), read_log(lake.open(SEALS)))
    head, note = tlog.open_checkpoint(published, keys.keys)
    keys.check_signed(head, note)
    _, inventory = read_inventory(lake, newest_number(lake), keys.keys)
    ledger = lake.find(LEDGER)
    reservations = [] if ledger is None else read_reservations(ledger)
    mark = tlog.Mark(
        lake.origin, None, head.size, head.root.hex(), inventory, reservations[-1].digest if reservations else None
    )
    put_mark(lake.marks, 1, mark)
    return mark


def check_log_is_ours(lake: Lake) -> None:
    """One log serves one lake, and where something was published there is a mark."""
    vkey = lake.log.get("vkey")
    if vkey is not None and vkey.decode(errors="replace").strip() != lake.vkey:
        raise ProofError(f"{lake.log.path('vkey')}: this log is another lake's; give each lake its own log folder")
    if lake.log.exists("checkpoint") and newest_mark(lake.marks)[1] is None:
        raise ProofError(
            f"{lake.places.marks}: no mark, but {lake.log.path('checkpoint')} was published; bring the marks back from "
            "their backup, or see docs/recovery.md, `Marks that are lost`"
        )


def _signed(head: tlog.Checkpoint, signers: Sequence[tlog.Signer], published: bytes | None) -> bytes:
    """The note of this head. A key service is not asked for the signatures that the published one has already."""
    lines = [tlog.signature_line(head, published or b"", signer.verifier) for signer in signers]
    signed = [line for line in lines if line is not None]
    if len(signed) < len(signers):
        return tlog.sign_checkpoint(head, *signers)
    return "\n".join([tlog.format_checkpoint(head), "".join(signed)]).encode()


def _stamp(log: Store, attesters: Attesters, head: tlog.Checkpoint, note: bytes, keys: tlog.LogKeys) -> list[str]:
    """Have the checkpoint stamped, once. An authority that does not answer stops nothing."""
    if attesters.authority is None:
        return []
    line = tlog.signature_line(head, note, keys.in_force(head.size))
    try:
        put_stamp(log, head.size, f"{tlog.format_checkpoint(head)}\n{line}".encode(), attesters.authority)
    except StorageError as err:
        return [f"no timestamp: {err}"]
    return []


def _put_handovers(
    lake: Lake, entries: Sequence[tlog.SealEntry], keys: tlog.LogKeys, signers: Sequence[tlog.Signer]
) -> None:
    """Publish the handover of each `key` entry, once: both keys are needed."""
    there = {signer.verifier: signer for signer in signers}
    for number, size in enumerate(keys.sizes, start=1):
        if lake.log.exists(handover_name(number)):
            continue
        old, new = keys.keys[number - 1], keys.keys[number]
        if missing := [key for key in (old, new) if key not in there]:
            raise InputError(
                f"{lake.log.path(handover_name(number))}: is not there, and to make it needs the key "
                f"{missing[0].key_id.hex()}; restore the one or the other from your backup"
            )
        handover = tlog.make_handover(entries[:size], there[old], there[new], hash_nodes)
        lake.log.put_new(handover_name(number), handover)


def _check_extends(lake: Lake, leaves: bytes, mark: tlog.Mark | None, keys: tlog.LogKeys) -> None:
    """Never sign a tree that does not extend what this log has signed."""
    size = len(leaves) // 32
    published = lake.log.get("checkpoint")
    signed = [] if mark is None else [("mark", mark.size, mark.root)]
    if mark is not None and mark.origin != lake.origin:
        raise ProofError(
            f"{lake.places.marks}: the marks of {mark.origin}, not of {lake.origin}; give each log its own folder"
        )
    if published is not None:
        checkpoint, note = tlog.open_checkpoint(published, keys.keys)
        keys.check_signed(checkpoint, note)
        signed.append(("checkpoint", checkpoint.size, checkpoint.root.hex()))
    for what, signed_size, root in signed:
        if size < signed_size:
            raise StorageError(
                f"{lake.places.lake}: the log has {size} entries, its {what} says {signed_size}; "
                "it was restored from an older backup, or cut; see docs/recovery.md, `An older backup`"
            )
        found = tlog.tree_root(leaves[: 32 * signed_size], hash_nodes).hex()
        if found != root:
            raise ProofError(
                f"{lake.places.lake}: the first {signed_size} entries give root {found}, its {what} says {root}"
            )


def _check_follows_from_rows(
    lake: Lake, log: Sequence[tlog.SealEntry], first: int, now: Callable[[], datetime], kind: str
) -> None:
    """Each entry that is not signed yet must be what its draft decides, and its sources must be in `sources`."""
    for index in range(first, len(log)):
        if read_draft(lake, log[index].day, log[index].segment, log[:index], now, kind) != log[index]:
            raise ProofError(f"seal {log[index].day}/{log[index].segment}: is not the entry its draft says")


def _put_tiles(log: Store, leaves: bytes) -> None:
    for path, hashes in tlog.tiles_for(leaves, hash_nodes=hash_nodes):
        if not log.put_new(path, hashes) and log.get(path) != hashes:
            raise ProofError(
                f"{log.path(path)}: differs from the log it is a tile of; restore it or remove it, then run again"
            )
