"""The turns in a log's life: the next key, and the end.

A turn is an entry like a seal, drafted, appended and published in the same steps, but never by a run: a draft of one
that somebody planted must not end a log or hand it over. So a turn that was cut off is finished by its own command.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

from audit_pipeline import tlog
from audit_pipeline.appending import append_draft, check_time, read_draft
from audit_pipeline.attest import NOBODY, Attesters
from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.lake.declared import SEALS
from audit_pipeline.lake.hashing import hash_nodes
from audit_pipeline.lake.inventories import check_goes_on
from audit_pipeline.lake.keys import load_key_file, make_next_key
from audit_pipeline.lake.logbook import check_not_frozen, draft_name, read_log
from audit_pipeline.lake.marks import newest_mark
from audit_pipeline.lake.opened import Lake
from audit_pipeline.publishing import check_log_is_ours, publish
from audit_pipeline.records import canonical
from audit_pipeline.signers import load_signers, signers_at


def rotate_key(
    lake: Lake,
    *,
    policy_digest: str,
    passphrase: bytes | None,
    now: Callable[[], datetime],
    entropy: Callable[[int], bytes],
    attesters: Attesters = NOBODY,
) -> tlog.SealEntry:
    """Hand the log over to its next key, which signs from the entry that is given back on, beside those of before.

    The next key is the one of the profile that the log does not have yet; of keys in files, a new file. A handover that
    was begun and cut off is finished.

    Raises:
        InputError: the log is frozen, there is no next key, or the key in force is not there.
        StorageError, ProofError: as sealing a day does.
    """
    entries, signed = _entries(lake)
    check_not_frozen(lake)
    keys = tlog.keys_of(tlog.parse_vkey(lake.vkey), entries[:signed])
    new = _next_signer(lake, keys, passphrase, entropy)
    signers = load_signers(lake.places, passphrase)
    old = signers_at(keys, signed, signers)[0].verifier
    handover = (tlog.format_vkey(old), tlog.format_vkey(new.verifier))
    unfinished = [seal for seal in entries[signed:] if seal.kind == "key"]
    turn = unfinished[0] if unfinished else _append(lake, entries, "key", handover, policy_digest, now, entropy)
    publish(lake, signers, now, "key", attesters)
    return turn


def _next_signer(
    lake: Lake, keys: tlog.LogKeys, passphrase: bytes | None, entropy: Callable[[int], bytes]
) -> tlog.Signer:
    if not lake.places.signing_keys:
        path = make_next_key(lake.places.keys, lake.origin, len(keys.keys) + 1, entropy, passphrase)
        return load_key_file(path, lake.origin, passphrase)
    new = [signer for signer in load_signers(lake.places, passphrase) if signer.verifier not in keys.keys]
    if len(new) != 1:
        raise InputError(
            f"signing_keys of the profile: {len(new)} keys that the log does not have yet, expected one; name the "
            "next key"
        )
    return new[0]


def freeze_log(
    lake: Lake,
    *,
    policy_digest: str,
    passphrase: bytes | None,
    now: Callable[[], datetime],
    entropy: Callable[[int], bytes],
    attesters: Attesters = NOBODY,
) -> tlog.SealEntry:
    """End the log: nothing comes after the entry that is given back. An end that was begun and cut off is finished.

    Raises:
        InputError: the log is frozen already, or the key in force is not there.
        StorageError, ProofError: as sealing a day does.
    """
    entries, _ = _entries(lake)
    check_not_frozen(lake)
    turn = entries[-1]
    signers = load_signers(lake.places, passphrase)
    signers_at(tlog.keys_of(tlog.parse_vkey(lake.vkey), entries), len(entries), signers)
    if turn.kind != "freeze":
        turn = _append(lake, entries, "freeze", None, policy_digest, now, entropy)
    publish(lake, signers, now, "freeze", attesters)
    return turn


def _entries(lake: Lake) -> tuple[list[tlog.SealEntry], int]:
    """The log's entries, of which there are some, and how many of them are signed."""
    check_goes_on(lake)
    check_log_is_ours(lake)
    entries = read_log(lake.open(SEALS))
    _, mark = newest_mark(lake.marks)
    if not entries or mark is None:
        raise InputError(f"{lake.places.lake}: nothing is sealed yet; run `audit-pipeline run` first")
    return entries, mark.size


def _append(
    lake: Lake,
    log: Sequence[tlog.SealEntry],
    kind: str,
    handover: tuple[str, str] | None,
    policy_digest: str,
    now: Callable[[], datetime],
    entropy: Callable[[int], bytes],
) -> tlog.SealEntry:
    """Make a turn of this kind an entry: the one that was begun and cut off, or a new one, today's next segment."""
    time = check_time(now().astimezone(UTC).replace(microsecond=0), log)
    day = _begun(lake, log, kind, time.date()) or time.date()
    before = [seal for seal in log if seal.day == day]
    segment = len(before) + 1
    turn = tlog.SealEntry(
        kind=kind,
        lake=lake.lake_id,
        day=day,
        segment=segment,
        previous=tlog.leaf_hash(tlog.format_seal(before[-1])).hex() if before else None,
        sources=0,
        records=0,
        size=0,
        root=tlog.EMPTY_ROOT.hex(),
        adapters=(),
        pseudonym_key=None,
        policy=policy_digest,
        time=time,
        nonce=entropy(canonical.NONCE_BYTES).hex(),
        handover=handover,
    )
    lake.evidence.put_new(draft_name(day, segment), tlog.format_draft(turn, []))
    turn = read_draft(lake, day, segment, log, now, kind)
    if (turn.kind, turn.handover) != (kind, handover):
        path = lake.evidence.path(draft_name(day, segment))
        raise InputError(
            f"{path}: a {turn.kind} that was begun is in the way; finish it, or remove it if it is not yours"
        )
    append_draft(lake, day, segment, now, kind)
    return turn


def _begun(lake: Lake, log: Sequence[tlog.SealEntry], kind: str, today: date) -> date | None:
    """The day of a turn that was drafted since the log's last entry, and cut off before it became one."""
    first = max(seal.time for seal in log).date()
    for day in (first + timedelta(days=n) for n in range((today - first).days + 1)):
        draft = lake.evidence.get(draft_name(day, 1 + sum(seal.day == day for seal in log)))
        with suppress(ProofError):  # it is refused where it is in the way
            if draft is not None and tlog.parse_draft(draft, hash_nodes)[0].kind == kind:
                return day
    return None
