"""Close what came in of a day under one entry of the log, and publish the log's new head.

Order, and why a crash between any two steps is harmless: what the day's next segment is, is drafted here, once; the
draft becomes an entry (`appending.py`); tiles, mark and checkpoint follow from the entries (`publishing.py`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import MappingProxyType

from audit_pipeline import tlog
from audit_pipeline.appending import REMOVE, append_draft, check_time, read_draft
from audit_pipeline.attest import NOBODY, Attesters
from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.lake.adoption import check_new_commits
from audit_pipeline.lake.declared import RECORDS, SEALS
from audit_pipeline.lake.hashing import hash_nodes
from audit_pipeline.lake.inventories import check_goes_on
from audit_pipeline.lake.keys import load_person_keys
from audit_pipeline.lake.logbook import check_names_go_on, check_not_frozen, draft_name, read_log, sealed_entries
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.projection import complete_sources
from audit_pipeline.publishing import check_log_is_ours, publish
from audit_pipeline.records import canonical
from audit_pipeline.signers import load_signers

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SealReport:
    """One seal, and the log that holds it."""

    day: date
    segment: int
    index: int
    """Of the entry in the log, from 0."""
    log_size: int
    sources: int
    records: int
    size: int
    """Source entries in the day tree."""
    root: str
    """Of the day tree."""
    entry_hash: str
    """Leaf hash of the seal entry in the log."""
    checkpoint: str
    is_new: bool
    """False where the day was sealed already and nothing came in since."""
    warnings: tuple[str, ...]
    """Which witnesses did not cosign, and why there is no timestamp."""
    checked: int
    """The commit of `records` up to which rows were compared with their entries before anything was signed."""


@dataclass(frozen=True, slots=True)
class _Terms:
    """What a seal says it was made under."""

    policy: str
    pseudonym_key: str


def seal_day(
    lake: Lake,
    day: date,
    *,
    policy_digest: str,
    passphrase: bytes | None,
    today: date,
    now: Callable[[], datetime],
    entropy: Callable[[int], bytes],
    written: Mapping[str, str] = _NOTHING,
    attesters: Attesters = NOBODY,
) -> SealReport:
    """Seal what no earlier segment of `day` covers, append the entry and publish. An empty day is sealed once.

    `written`: SHA-256 by name of the data files that ingest says it wrote; the rows of all others are compared first.

    Raises:
        InputError: the day has not begun, the key does not open, or the clock is behind the last seal.
        StorageError: the log has fewer entries than were signed, as after a restore.
        ProofError: what would be signed does not extend what was signed, or does not follow from the rows.
    """
    if day > today:
        raise InputError(f"{day}: this day has not begun (today is {today} UTC); it cannot be sealed")
    signers = load_signers(lake.places, passphrase)
    people = load_person_keys(lake.places.keys, passphrase)
    terms = _Terms(policy_digest, people.key_id)
    covered = check_goes_on(lake)
    check_log_is_ours(lake)
    check_not_frozen(lake)
    checked = check_new_commits(lake, covered.get(RECORDS.name, 0) + 1, written)
    is_new = False
    while True:
        log = read_log(lake.open(SEALS))
        check_names_go_on(lake, log, people)
        seals = [(index, seal) for index, seal in enumerate(log) if seal.day == day]
        segment = len(seals) + 1
        if lake.evidence.exists(draft_name(day, segment)):
            _check_found_draft(lake, day, segment, terms, log, now)
        elif not _draft(lake, day, seals, terms, now, entropy):
            break
        append_draft(lake, day, segment, now)
        is_new = True
    published = publish(lake, signers, now, attesters=attesters)
    mine = [
        (index, seal)
        for index, seal in enumerate(read_log(lake.open(SEALS)))
        if seal.day == day and seal.kind == "seal"
    ]
    index, seal = mine[-1]
    return SealReport(
        day=day,
        segment=seal.segment,
        index=index,
        log_size=published.size,
        sources=seal.sources,
        records=seal.records,
        size=seal.size,
        root=seal.root,
        entry_hash=tlog.leaf_hash(tlog.format_seal(seal)).hex(),
        checkpoint=published.note.decode(),
        is_new=is_new,
        warnings=published.warnings,
        checked=checked,
    )


def _draft(
    lake: Lake,
    day: date,
    seals: Sequence[tuple[int, tlog.SealEntry]],
    terms: _Terms,
    now: Callable[[], datetime],
    entropy: Callable[[int], bytes],
) -> bool:
    """Decide the day's next segment. False where there is nothing to seal: nothing came in since the last one."""
    covered = sealed_entries(lake, [seal for _, seal in seals])
    rows = complete_sources(lake).read(["entry", "format"], day).to_pylist()
    new = [row for row in rows if row["entry"] not in covered]
    if not new and any(seal.kind == "seal" for _, seal in seals):
        return False
    entries = sorted((tlog.parse_source(row["entry"].encode()) for row in new), key=tlog.source_order)
    time = check_time(now().astimezone(UTC).replace(microsecond=0), read_log(lake.open(SEALS)))
    seal = tlog.SealEntry(
        kind="seal",
        lake=lake.lake_id,
        day=day,
        segment=len(seals) + 1,
        previous=tlog.leaf_hash(tlog.format_seal(seals[-1][1])).hex() if seals else None,
        sources=len({entry.source for entry in entries}),
        records=sum(entry.records for entry in entries),
        size=len(entries),
        root=tlog.tree_root(tlog.hash_leaves(map(tlog.format_source, entries)), hash_nodes).hex(),
        adapters=_adapter_names(row["format"] for row in new),
        pseudonym_key=terms.pseudonym_key,
        policy=terms.policy,
        time=time,
        nonce=entropy(canonical.NONCE_BYTES).hex(),
    )
    lake.evidence.put_new(draft_name(day, seal.segment), tlog.format_draft(seal, entries, hash_nodes))
    return True  # another sealer's draft of this segment stands as well as ours


def _check_found_draft(
    lake: Lake,
    day: date,
    segment: int,
    terms: _Terms,
    log: Sequence[tlog.SealEntry],
    now: Callable[[], datetime],
) -> None:
    """A draft that lies there already is of a run of this policy and these adapters that died, or of nobody of ours."""
    name = draft_name(day, segment)
    read_draft(lake, day, segment, log, now)
    seal, entries = tlog.parse_draft(lake.evidence.get(name) or b"", hash_nodes)
    drafted = {tlog.format_source(entry).decode() for entry in entries}
    rows = complete_sources(lake).read(["entry", "format"], day).to_pylist()
    adapters = _adapter_names(row["format"] for row in rows if row["entry"] in drafted)
    if (seal.policy, seal.pseudonym_key, seal.adapters) != (terms.policy, terms.pseudonym_key, adapters):
        raise ProofError(f"{lake.evidence.path(name)}: is of another policy, key or adapters than this run; {REMOVE}")


def _adapter_names(formats: Iterable[str]) -> tuple[str, ...]:
    """`name@version` of the adapters that read these formats, sorted."""
    return tuple(sorted({f"{name}@{ADAPTERS[name].version}" for name in formats if name in ADAPTERS}))
