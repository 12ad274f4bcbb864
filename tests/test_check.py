"""What an auditor is told of a bundle is what the log's key signed; everything else is refused in one line."""

import base64
import dataclasses
import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_pipeline import tlog
from audit_pipeline.check import CheckedBundle, check_bundle, check_day, check_files, main
from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.records import canonical
from audit_pipeline.tlog.bundle import Bundle, BundledRecord, BundledSeal, BundledSource, format_bundle, parse_bundle
from audit_pipeline.tlog.multiproof import prove_leaves
from audit_pipeline.tlog.trust import Trust, format_trust, parse_trust

ROOT = Path(__file__).resolve().parents[1]
LAKE = "0123456789abcdef" * 2
ORIGIN = f"log.example/{LAKE}"
DAY = date(2026, 3, 4)
HOUR = timedelta(hours=1)
NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)

Exceptions = Sequence[tuple[int, str, str]]


def signer_of(seed: str, name: str = ORIGIN, signature_type: int = tlog.ED25519) -> tlog.Signer:
    return tlog.Signer(name, signature_type, Ed25519PrivateKey.from_private_bytes(sha256(seed.encode()).digest()))


KEY = signer_of("the log's")
TRUST = Trust((KEY.verifier,))


@dataclass(frozen=True)
class Source:
    """A snapshot as it is in a made log."""

    entry: tlog.SourceEntry
    path: str
    records: Sequence[bytes]
    salts: Sequence[bytes]
    exceptions: Exceptions

    @property
    def leaves(self) -> bytes:
        return b"".join(map(canonical.record_leaf, self.salts, self.records))


def source_of(path: str, contents: Sequence[bytes], exceptions: Exceptions = (), **changes: object) -> Source:
    salts = [sha256(f"{path} {at}".encode()).digest()[:16] for at in range(len(contents))]
    leaves = b"".join(map(canonical.record_leaf, salts, contents))
    fields: dict[str, object] = {
        "lake": LAKE,
        "stream": "runs",
        "source": canonical.source_id("runs", path),
        "day": DAY,
        "generation": 0,
        "snapshot": 0,
        "position": 0,
        "records": len(contents),
        "start": 0,
        "end": 100,
        "container": "jsonl",
        "compression": "none",
        "growth": "new",
        "supersedes": None,
        "content": "c" * 64,
        "exceptions": canonical.exceptions_digest(exceptions),
        "root": tlog.tree_root(leaves).hex(),
    }
    return Source(tlog.SourceEntry(**(fields | changes)), path, contents, salts, exceptions)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Made:
    """A log of sealed segments, each of some sources, in the order of its day tree."""

    seals: Sequence[tlog.SealEntry]
    sources: Sequence[Sequence[Source]]

    @property
    def leaves(self) -> bytes:
        return tlog.hash_leaves(map(tlog.format_seal, self.seals))

    def checkpoint(self, size: int | None = None, key: tlog.Signer = KEY) -> bytes:
        size = len(self.seals) if size is None else size
        return tlog.sign_checkpoint(tlog.Checkpoint(key.name, size, tlog.tree_root(self.leaves[: 32 * size])), key)

    def bundle(
        self, chosen: Mapping[int, Mapping[int, Sequence[int]]], held: int | None = None, note: bytes | None = None
    ) -> Bundle:
        """Of the records at these offsets, by seal and source."""
        nodes = b"" if held is None else b"".join(tlog.prove_consistency(self.leaves, held))
        return Bundle(
            checkpoint=note or self.checkpoint(),
            nodes=prove_leaves(self.leaves, sorted(chosen)),
            consistency=None if held is None else (held, nodes),
            seals=tuple(self._seal(index, of) for index, of in sorted(chosen.items())),
        )

    def _seal(self, index: int, of: Mapping[int, Sequence[int]]) -> BundledSeal:
        entries = tlog.hash_leaves(tlog.format_source(source.entry) for source in self.sources[index])
        sources = tuple(bundled_source(number, self.sources[index][number], at) for number, at in sorted(of.items()))
        return BundledSeal(index, tlog.format_seal(self.seals[index]), prove_leaves(entries, sorted(of)), sources)


def bundled_source(number: int, source: Source, offsets: Sequence[int]) -> BundledSource:
    records = [BundledRecord(source.entry.position + at, source.salts[at], source.records[at]) for at in offsets]
    return BundledSource(
        index=number,
        entry=tlog.format_source(source.entry),
        path=source.path,
        exceptions=tuple(source.exceptions),
        nodes=prove_leaves(source.leaves, list(offsets)),
        records=tuple(records),
    )


def made_log(*days: Sequence[Source], **changes: object) -> Made:
    seals = []
    for number, sources in enumerate(days):
        fields: dict[str, object] = {
            "kind": "seal",
            "lake": LAKE,
            "day": sources[0].entry.day if sources else DAY,
            "segment": 1,
            "previous": None,
            "sources": len(sources),
            "records": sum(source.entry.records for source in sources),
            "size": len(sources),
            "root": tlog.tree_root(tlog.hash_leaves(tlog.format_source(source.entry) for source in sources)).hex(),
            "adapters": (),
            "pseudonym_key": None,
            "policy": "d" * 64,
            "time": NOON + number * HOUR,
            "nonce": sha256(bytes([number])).hexdigest(),
        }
        seals.append(tlog.SealEntry(**(fields | changes)))  # type: ignore[arg-type]
    return Made(seals, days)


def lines(path: str, count: int, **changes: object) -> Source:
    return source_of(path, [b'{"step":%d}' % number for number in range(count)], **changes)  # type: ignore[arg-type]


ODD = ((12, "quarantined", "invalid_json"), (14, "partial_tail", ""))
LOG = made_log(
    sorted((lines(f"{number}.jsonl", 3 + number) for number in range(5)), key=lambda s: tlog.source_order(s.entry)),
    [lines("growing.jsonl", 5, exceptions=ODD, snapshot=2, position=10, day=DAY + 24 * HOUR)],
    [lines("last.jsonl", 1, day=DAY + 48 * HOUR)],
)
BUNDLE = LOG.bundle({0: {1: [0, 2], 3: [1]}, 1: {0: [0, 2, 4]}}, held=1)
ENCODED = format_bundle(BUNDLE)


def check(bundle: Bundle, trust: Trust = TRUST) -> CheckedBundle:
    return check_bundle(format_bundle(bundle), trust)


def refused(bundle: Bundle, match: str | None = None, trust: Trust = TRUST) -> None:
    with pytest.raises(ProofError, match=match) as refusal:
        check(bundle, trust)
    assert "\n" not in str(refusal.value)


# What a bundle shows


def test_each_record_is_told_with_where_it_was_and_when_it_was_sealed() -> None:
    found = check(BUNDLE)

    assert [(r.path, r.position, r.status, r.reason) for r in found.records[3:]] == [
        ("growing.jsonl", 10, "ok", ""),
        ("growing.jsonl", 12, "quarantined", "invalid_json"),
        ("growing.jsonl", 14, "partial_tail", ""),
    ]
    last = found.records[-1]
    assert (last.stream, last.source, last.day) == (
        "runs",
        canonical.source_id("runs", "growing.jsonl"),
        date(2026, 3, 5),
    )
    assert (last.generation, last.snapshot, last.container) == (0, 2, "jsonl")
    assert (last.sealed_at, last.record) == (NOON + HOUR, b'{"step":4}')
    assert [r.position for r in found.records[:3]] == [0, 2, 1]
    assert (found.head.origin, found.head.size, found.head.levels, found.head.notes) == (ORIGIN, 3, ("signed",), ())


def test_a_bundle_has_one_form() -> None:
    assert format_bundle(parse_bundle(ENCODED)) == ENCODED
    value = json.loads(ENCODED)
    others = [
        json.dumps(value).encode(),
        json.dumps(value, sort_keys=True, indent=1).encode(),
        ENCODED + b"\n",
        b" " + ENCODED,
        b"\xef\xbb\xbf" + ENCODED,
        ENCODED.replace(b'"format"', b'"\\u0066ormat"'),
        ENCODED.replace(b'{"checkpoint"', b'{"format":"audit-bundle/v1","checkpoint"', 1),
        ENCODED.replace(b'"index":0', b'"index":-0', 1),
        ENCODED.replace(b'"index":0', b'"index":0.0', 1),
        ENCODED.replace(b'"index":0', b'"index":false', 1),
        ENCODED.replace(b'"index":1', b'"index":true', 1),
        ENCODED.replace(b'"position":12', b'"position":12.0', 1),
        ENCODED.replace(b'"position":12', b'"position":true', 1),
        ENCODED.replace(b'{"position":12', b'{"more":1,"position":12', 1),
        ENCODED.replace(b'{"position":12', b'{"position":11,"position":12', 1),
        re.sub(b'"salt":"([^"]*)"', b'"salt":"\\1\\\\n"', ENCODED, count=1),
        re.sub(b'Q=="', b'R=="', ENCODED, count=1),  # the bits that padding leaves over
        re.sub(b'"position":12,"record":"[^"]*",', b'"position":12,', ENCODED),
        re.sub(b'"record":"[^"]*"', b'"record":null', ENCODED, count=1),
        re.sub(b'"record":"[^"]*"', b'"record":"\xc3\xa9AAA"', ENCODED, count=1),
        re.sub(b'{"position":12,[^}]*}', b'"position"', ENCODED),
    ]
    for other in others:
        assert other != ENCODED
        with pytest.raises(ProofError):
            check_bundle(other, TRUST)


@given(st.text(st.characters(exclude_categories=("Cs",))), st.lists(st.binary(max_size=9), min_size=1, max_size=5))
@settings(deadline=None)
def test_a_bundle_is_canonical_json(path: str, contents: list[bytes]) -> None:
    """Records are written without the general encoder, and give its bytes."""
    log = made_log([source_of(path, contents), source_of(f"{path}2", [b"{}"])], [source_of(f"{path}3", contents)])
    everything = {0: {0: range(len(contents)), 1: [0]}, 1: {0: range(len(contents))}}
    encoded = format_bundle(log.bundle(everything, held=1))

    assert canonical.dump_canonical(canonical.load_json(encoded.decode())) == encoded
    assert format_bundle(parse_bundle(encoded)) == encoded


def test_a_bundle_of_another_version_is_named_as_such() -> None:
    with pytest.raises(ProofError, match="expected the format audit-bundle/v1, got 'audit-bundle/v2'"):
        check_bundle(ENCODED.replace(b"audit-bundle/v1", b"audit-bundle/v2"), TRUST)


def test_a_checkpoint_that_is_held_adds_the_level_extends_held() -> None:
    for size in (1, 3):
        trust = replace(TRUST, held=LOG.checkpoint(size))

        assert check(BUNDLE, trust).head.levels == ("signed", "extends-held")


def test_a_checkpoint_that_cannot_be_compared_is_a_note_and_no_level() -> None:
    longer = made_log(*LOG.sources, [])
    other = signer_of("another log's", "log.example/other")
    cases = [
        (BUNDLE, replace(TRUST, held=LOG.checkpoint(2))),
        (replace(BUNDLE, consistency=None), replace(TRUST, held=LOG.checkpoint(1))),
        (BUNDLE, replace(TRUST, held=longer.checkpoint())),
        (BUNDLE, Trust((KEY.verifier, other.verifier), held=made_log([]).checkpoint(key=other))),
    ]
    for bundle, trust in cases:
        head = check(bundle, trust).head
        assert head.levels == ("signed",)
        assert len(head.notes) == 1
        assert "not compared" in head.notes[0]


def test_a_checkpoint_that_is_held_and_does_not_fit_is_refused() -> None:
    other = made_log([], *LOG.sources[1:])

    refused(BUNDLE, "consistency proof", replace(TRUST, held=other.checkpoint(1)))
    refused(BUNDLE, "consistency proof", replace(TRUST, held=other.checkpoint(3)))
    refused(replace(BUNDLE, consistency=(1, b"")), "consistency", replace(TRUST, held=LOG.checkpoint(1)))
    refused(replace(BUNDLE, consistency=(1, b"\0" * 33)), "consistency", replace(TRUST, held=LOG.checkpoint(1)))


def test_a_quorum_that_cosigned_adds_the_level_witnessed_and_one_that_did_not_is_refused() -> None:
    witness = signer_of("a witness's", "witness.example/w", tlog.ED25519_COSIGNATURE)
    trust = Trust((KEY.verifier,), {"w": witness.verifier}, {}, "w")
    text = LOG.checkpoint().decode().partition("\n\n")[0] + "\n"
    cosigned = LOG.checkpoint() + tlog.cosign_text(text, witness, 1_767_139_200)

    assert check(replace(BUNDLE, checkpoint=cosigned), trust).head.levels == ("signed", "witnessed")
    assert check(replace(BUNDLE, checkpoint=cosigned)).head.levels == ("signed",)
    refused(BUNDLE, "quorum 'w'", trust)


# What is refused


def test_a_flipped_bit_is_refused_or_changes_nothing_that_is_told() -> None:
    """Nothing vouches for the consistency proof of a checkpoint that is not held, and nothing is told of it."""
    told, chosen, passed = check_bundle(ENCODED, TRUST), Random(1), 0
    for at in range(len(ENCODED)):
        flipped = bytearray(ENCODED)
        flipped[at] ^= 1 << chosen.randrange(8)
        try:
            found = check_bundle(bytes(flipped), TRUST)
        except ProofError:
            continue
        assert found == told
        assert dataclasses.replace(parse_bundle(bytes(flipped)), consistency=BUNDLE.consistency) == BUNDLE
        passed += 1
    assert passed < 150


def test_a_flipped_bit_is_refused_where_the_consistency_proof_is_used() -> None:
    trust, chosen = replace(TRUST, held=LOG.checkpoint(1)), Random(2)
    told = check_bundle(ENCODED, trust)
    for at in range(len(ENCODED)):
        flipped = bytearray(ENCODED)
        flipped[at] ^= 1 << chosen.randrange(8)
        try:
            found = check_bundle(bytes(flipped), trust)
        except ProofError:
            continue
        assert found.records == told.records
        assert found.head.levels == ("signed",), "another size is of another checkpoint: it is not compared"


def test_a_bundle_cut_short_anywhere_is_refused() -> None:
    for end in range(0, len(ENCODED), 7):
        with pytest.raises(ProofError):
            check_bundle(ENCODED[:end], TRUST)


def changed_source(change: Callable[[BundledSource], BundledSource], seal: int = 1, source: int = 0) -> Bundle:
    seals = list(BUNDLE.seals)
    sources = list(seals[seal].sources)
    sources[source] = change(sources[source])
    seals[seal] = replace(seals[seal], sources=tuple(sources))
    return replace(BUNDLE, seals=tuple(seals))


def swapped(source: BundledSource, *names: str) -> BundledSource:
    """These fields of the first two records, changed for each other."""
    first, second, *rest = source.records
    given = {name: getattr(second, name) for name in names}, {name: getattr(first, name) for name in names}
    return replace(source, records=(replace(first, **given[0]), replace(second, **given[1]), *rest))


FORGED_SOURCES: dict[str, Callable[[BundledSource], BundledSource]] = {
    "records swapped": lambda s: swapped(s, "record"),
    "salts swapped": lambda s: swapped(s, "salt"),
    "records and salts swapped": lambda s: swapped(s, "salt", "record"),
    "a record at its neighbour's position": lambda s: replace(s, records=(replace(s.records[0], position=11),)),
    "a record beyond the end": lambda s: replace(s, records=(replace(s.records[0], position=15),)),
    "a record before the start": lambda s: replace(s, records=(replace(s.records[0], position=9),)),
    "records out of order": lambda s: replace(s, records=s.records[::-1]),
    "a record twice": lambda s: replace(s, records=(s.records[0], *s.records)),
    "no records": lambda s: replace(s, records=()),
    "a record left out, its leaf still proved": lambda s: replace(s, records=s.records[1:]),
    "a byte moved from salt to record": lambda s: replace(
        s,
        records=(
            replace(s.records[0], salt=s.records[0].salt[:-1], record=s.records[0].salt[-1:] + s.records[0].record),
        ),
    ),
    "a salt of 17 bytes": lambda s: replace(
        s,
        records=(
            replace(s.records[0], salt=s.records[0].salt + s.records[0].record[:1], record=s.records[0].record[1:]),
        ),
    ),
    "another status": lambda s: replace(s, exceptions=((12, "partial_tail", "invalid_json"), s.exceptions[1])),
    "another reason": lambda s: replace(s, exceptions=((12, "quarantined", "depth"), s.exceptions[1])),
    "an exception left out": lambda s: replace(s, exceptions=s.exceptions[:1]),
    "an exception too many": lambda s: replace(s, exceptions=((11, "quarantined", "depth"), *s.exceptions)),
    "an exception at another position": lambda s: replace(
        s, exceptions=((13, "quarantined", "invalid_json"), s.exceptions[1])
    ),
    "an exception that says ok": lambda s: replace(s, exceptions=((11, "ok", ""), *s.exceptions)),
    "exceptions out of order": lambda s: replace(s, exceptions=s.exceptions[::-1]),
    "two exceptions as one with a newline": lambda s: replace(
        s, exceptions=((12, "quarantined", "invalid_json\n14 partial_tail -"),)
    ),
    "another path": lambda s: replace(s, path="other.jsonl"),
    "a path that goes elsewhere and back": lambda s: replace(s, path="x/../growing.jsonl"),
    "another index": lambda s: replace(s, index=1),
    "a node too many": lambda s: replace(s, nodes=s.nodes + s.nodes[:32]),
    "a node too few": lambda s: replace(s, nodes=s.nodes[32:]),
    "nodes in another order": lambda s: replace(s, nodes=s.nodes[32:] + s.nodes[:32]),
    "nodes of another tree": lambda s: replace(s, nodes=BUNDLE.seals[0].sources[0].nodes),
    "another day": lambda s: replace(s, entry=s.entry.replace(b"2026-03-05", b"2026-03-04")),
    "another generation": lambda s: replace(s, entry=s.entry.replace(b"generation 0", b"generation 1")),
    "another snapshot": lambda s: replace(s, entry=s.entry.replace(b"snapshot 2", b"snapshot 3")),
    "another size": lambda s: replace(s, entry=s.entry.replace(b"records 5", b"records 6")),
    "a size with a zero in front": lambda s: replace(s, entry=s.entry.replace(b"records 5", b"records 05")),
    "another source's entry": lambda s: replace(s, entry=BUNDLE.seals[0].sources[0].entry),
    "a seal as a source entry": lambda s: replace(s, entry=BUNDLE.seals[0].entry),
}


@pytest.mark.parametrize("change", FORGED_SOURCES.values(), ids=FORGED_SOURCES.keys())
def test_a_forged_source_is_refused(change: Callable[[BundledSource], BundledSource]) -> None:
    forged = changed_source(change)

    assert forged != BUNDLE
    refused(forged)


def with_seals(*seals: BundledSeal) -> Bundle:
    return replace(BUNDLE, seals=seals)


FIRST, SECOND = BUNDLE.seals
FORGED_SEALS = {
    "seals out of order": with_seals(SECOND, FIRST),
    "seals at each other's index": with_seals(replace(SECOND, index=0), replace(FIRST, index=1)),
    "a seal twice": with_seals(FIRST, FIRST, SECOND),
    "a seal left out, its leaf still proved": with_seals(SECOND),
    "no seals": with_seals(),
    "no sources": with_seals(FIRST, replace(SECOND, sources=())),
    "a seal at another index": with_seals(FIRST, replace(SECOND, index=2)),
    "a seal beyond the log": with_seals(FIRST, replace(SECOND, index=3)),
    "sources out of order": with_seals(replace(FIRST, sources=FIRST.sources[::-1]), SECOND),
    "a source of the other seal": with_seals(FIRST, replace(SECOND, sources=FIRST.sources[:1])),
    "nodes of the day in the log": replace(BUNDLE, nodes=FIRST.nodes),
    "nodes of the log in the day": with_seals(replace(FIRST, nodes=BUNDLE.nodes), SECOND),
    "no nodes": replace(BUNDLE, nodes=b""),
    "another day": with_seals(
        FIRST, replace(SECOND, entry=SECOND.entry.replace(b"2026-03-05\nseg", b"2026-03-06\nseg"))
    ),
    "another time": with_seals(FIRST, replace(SECOND, entry=SECOND.entry.replace(b"T13:", b"T14:"))),
    "a source entry as a seal": with_seals(FIRST, replace(SECOND, entry=SECOND.sources[0].entry)),
    "a checkpoint of an earlier size": replace(BUNDLE, checkpoint=LOG.checkpoint(2)),
    "a checkpoint whose size was changed": replace(BUNDLE, checkpoint=LOG.checkpoint().replace(b"\n3\n", b"\n2\n")),
    "another key's checkpoint": replace(BUNDLE, checkpoint=LOG.checkpoint(key=signer_of("somebody's"))),
    "another log's checkpoint": replace(BUNDLE, checkpoint=LOG.checkpoint(key=signer_of("the log's", "log.example/x"))),
    "a checkpoint without its signature": replace(BUNDLE, checkpoint=LOG.checkpoint().partition(b"\n\n")[0] + b"\n\n"),
    "a text that is no checkpoint": replace(BUNDLE, checkpoint=tlog.sign_note("hello\n", [KEY])),
}


@pytest.mark.parametrize("forged", FORGED_SEALS.values(), ids=FORGED_SEALS.keys())
def test_a_forged_seal_or_checkpoint_is_refused(forged: Bundle) -> None:
    assert forged != BUNDLE
    refused(forged)


FOUR = lines("a.jsonl", 4)
NEVER_OURS = {
    "another lake's seal": made_log([FOUR], lake="f" * 32),
    "another lake's source": made_log([lines("a.jsonl", 4, lake="f" * 32)]),
    "a source of another day": made_log([lines("a.jsonl", 4, day=DAY + 24 * HOUR)], day=DAY),
    "a path that is not the source's": made_log([replace(FOUR, path="b.jsonl")]),
    "a reserved kind": made_log([FOUR], kind="erasure"),
    "more records than are there": made_log([lines("a.jsonl", 4, records=5)]),
    "a status that is none": made_log([lines("a.jsonl", 4, exceptions=((1, "good", ""),))]),
    "an exception beyond the end": made_log([lines("a.jsonl", 4, exceptions=((4, "quarantined", "depth"),))]),
    "a reason that is no word": made_log([lines("a.jsonl", 4, exceptions=((1, "quarantined", "a b"),))]),
    "two statuses of a record": made_log(
        [lines("a.jsonl", 4, exceptions=((1, "quarantined", "depth"), (1, "partial_tail", "")))]
    ),
    "more sources than are there": made_log([FOUR], size=2),
}


@pytest.mark.parametrize("log", NEVER_OURS.values(), ids=NEVER_OURS.keys())
def test_what_the_key_signed_but_a_log_of_ours_never_has_is_refused(log: Made) -> None:
    """The holder of the key can sign anything; a bundle of it must still say one thing."""
    refused(log.bundle({0: {0: [1]}}))


def test_a_snapshot_that_is_sealed_twice_is_refused() -> None:
    assert check(made_log([FOUR]).bundle({0: {0: [1]}})).records

    refused(made_log([FOUR], [FOUR]).bundle({0: {0: [1]}, 1: {0: [2]}}), "sealed once")


def test_three_records_are_not_four_with_the_last_one_twice() -> None:
    log = made_log([lines("a.jsonl", 3)])
    source = bundled_source(0, log.sources[0][0], [0, 1, 2])
    doubled = replace(source, records=(*source.records, replace(source.records[2], position=3)))
    bundle = log.bundle({0: {0: [0]}})

    for records in (doubled, replace(doubled, entry=doubled.entry.replace(b"records 3", b"records 4"))):
        refused(replace(bundle, seals=(replace(bundle.seals[0], sources=(records,)),)))


def test_a_node_cannot_pass_for_a_leaf() -> None:
    """Two leaves are the bytes of a node, but a record's leaf has another prefix than a node."""
    log = made_log([lines("a.jsonl", 4)])
    leaves = log.sources[0][0].leaves
    two = replace(
        bundled_source(0, log.sources[0][0], [0]),
        entry=tlog.format_source(log.sources[0][0].entry).replace(b"records 4", b"records 2"),
        records=(BundledRecord(0, leaves[:16], leaves[16:64]),),
        nodes=tlog.node_hash(leaves[64:96], leaves[96:]),
    )
    bundle = log.bundle({0: {0: [0]}})

    refused(replace(bundle, seals=(replace(bundle.seals[0], sources=(two,)),)))


HOSTILE = {
    "nothing": b"",
    "not UTF-8": b"\xff\xfe",
    "not JSON": b"{",
    "another value": b"[]",
    "another number": b"1",
    "deep lists": b"[" * 200_000,
    "deep lists inside": ENCODED.replace(b'"exceptions":[]', b'"exceptions":' + b"[" * 400 + b"]" * 400, 1),
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a huge number": b"9" * 5_000,
    "a huge index": ENCODED.replace(b'"index":0', b'"index":' + b"9" * 5_000, 1),
    "a number no double holds": ENCODED.replace(b'"index":0', b'"index":1e999', 1),
    "NaN": ENCODED.replace(b'"index":0', b'"index":NaN', 1),
    "a lone surrogate": ENCODED.replace(b'"path":"', b'"path":"\\ud800', 1),
    "a lone surrogate as checkpoint": ENCODED.replace(b'"checkpoint":"', b'"checkpoint":"\\ud800', 1),
    "null": ENCODED.replace(b'"path":"', b'"path":null,"p":"', 1),
    "a list for text": b'{"checkpoint":[],"consistency":null,"format":"audit-bundle/v1","nodes":"","seals":[{}]}',
    "another format": ENCODED.replace(b"audit-bundle/v1", b"audit-bundle/v2"),
    "a newline in base64": ENCODED.replace(b'"nodes":"', b'"nodes":"\\n', 1),
    "a key with control characters": b'{"\\u001b[2J\\n":1}',
}


@pytest.mark.parametrize("bundle", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_are_one_line_and_exit_code_1(
    bundle: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(files(tmp_path, bundle)) == 1

    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.rstrip("\n").isprintable()
    assert len(err) < 500
    assert err.startswith(f"check: {tmp_path / 'bundle'}: ")


# The program


def files(folder: Path, bundle: bytes = ENCODED, trust: Trust = TRUST) -> list[str]:
    """The arguments of a check of these, written into `folder`."""
    (folder / "bundle").write_bytes(bundle)
    (folder / "trust").write_bytes(format_trust(trust))
    return [str(folder / "bundle"), "--trust", str(folder / "trust")]


def test_a_check_that_holds_prints_what_was_shown_but_no_content(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(files(tmp_path)) == 0

    out = capsys.readouterr().out
    assert "shown: signed\n" in out
    assert "growing.jsonl" in out
    assert "2026-03-05T13:00:00Z" in out
    assert "step" not in out


def test_contents_are_printed_only_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*files(tmp_path), "--show"]) == 0
    assert '{"step":4}' in capsys.readouterr().out

    assert main([*files(tmp_path), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert main([*files(tmp_path), "--json", "--show"]) == 0
    shown = json.loads(capsys.readouterr().out)

    assert "record" not in plain["records"][5]
    contents = [base64.b64decode(record.pop("record")["$base64"]) for record in shown["records"]]
    assert contents[-1] == b'{"step":4}'
    assert shown == plain
    assert plain["holds"] is True
    assert plain["records"][5] == {
        "stream": "runs",
        "path": "growing.jsonl",
        "source": canonical.source_id("runs", "growing.jsonl"),
        "day": "2026-03-05",
        "generation": 0,
        "snapshot": 2,
        "position": 14,
        "container": "jsonl",
        "status": "partial_tail",
        "reason": "",
        "sealed_at": "2026-03-05T13:00:00Z",
        "bytes": 10,
    }


def test_no_content_or_path_reaches_the_terminal_as_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = made_log([source_of("a\x1b[2J\n\u202eb.jsonl", [b"\x1b]0;x\x07\xff\r", "\u9ed1".encode()])])
    arguments = files(tmp_path, format_bundle(log.bundle({0: {0: [0, 1]}})))

    for style in ([], ["--show"], ["--json"], ["--json", "--show"]):
        assert main([*arguments, *style]) == 0
        out = capsys.readouterr().out
        assert all(line.replace("\t", "").isprintable() for line in out.splitlines())
        assert "\\x1b" in out or "\\u001b" in out


WRONG_USE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no file": (lambda folder: (folder / "bundle").unlink(), "cannot be read"),
    "a folder": (lambda folder: ((folder / "bundle").unlink(), (folder / "bundle").mkdir()), "cannot be read"),
    "no trust file": (lambda folder: (folder / "trust").unlink(), "cannot be read"),
    "a wrong trust file": (lambda folder: (folder / "trust").write_text("log x\n"), "line 1"),
    "an empty trust file": (lambda folder: (folder / "trust").write_text(""), "log <vkey>"),
    "a day proof alone": (lambda folder: (folder / "bundle").write_bytes(b"c2sp.org/tlog-proof@v1\n"), "--entry"),
}


@pytest.mark.parametrize(("spoil", "cure"), WRONG_USE.values(), ids=WRONG_USE.keys())
def test_wrong_use_is_one_line_with_the_cure_and_exit_code_2(
    spoil: Callable[[Path], Any], cure: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = files(tmp_path)
    spoil(tmp_path)

    assert main(arguments) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert cure in err
    assert len(err.splitlines()) == 1


# Day proofs


def day_proof(log: Made = LOG, index: int = 1) -> tuple[bytes, bytes]:
    hashes = tlog.prove_inclusion(log.leaves, index)
    return tlog.format_proof(tlog.InclusionProof(index, hashes, log.checkpoint())), tlog.format_seal(log.seals[index])


def test_a_day_proof_shows_its_seal() -> None:
    proof, entry = day_proof()

    found = check_day(proof, entry, TRUST)

    assert (found.index, found.seal, found.head.levels) == (1, LOG.seals[1], ("signed",))
    assert check_day(proof, entry, replace(TRUST, held=LOG.checkpoint())).head.levels == ("signed", "extends-held")
    assert "not compared" in check_day(proof, entry, replace(TRUST, held=LOG.checkpoint(1))).head.notes[0]


def test_a_flipped_bit_of_a_day_proof_or_its_entry_is_refused() -> None:
    proof, entry = day_proof()
    for whole, is_proof in ((proof, True), (entry, False)):
        for at in range(len(whole)):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << at % 8
            with pytest.raises(ProofError):
                check_day(bytes(flipped) if is_proof else proof, entry if is_proof else bytes(flipped), TRUST)


def test_a_day_proof_of_another_kind_of_entry_or_lake_is_refused() -> None:
    for log in (made_log([], kind="freeze"), made_log([], lake="f" * 32)):
        with pytest.raises(ProofError):
            check_day(*day_proof(log, 0), TRUST)


def test_the_program_checks_day_proofs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proof, entry = day_proof()
    arguments = [*files(tmp_path, proof), "--entry", str(tmp_path / "entry")]
    (tmp_path / "entry").write_bytes(entry)

    assert main(arguments) == 0
    assert "day: 2026-03-05" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seal"]["root"] == LOG.seals[1].root
    (tmp_path / "entry").write_bytes(entry.replace(b"segment 1", b"segment 2"))
    assert main(arguments) == 1


def test_a_trust_file_with_a_checkpoint_is_used(tmp_path: Path) -> None:
    trust = replace(TRUST, held=LOG.checkpoint(1))
    files(tmp_path, trust=trust)

    printed = check_files(tmp_path / "bundle", tmp_path / "trust", None, as_json=False, show=False)

    assert "shown: signed, extends-held" in printed
    assert parse_trust((tmp_path / "trust").read_bytes()) == trust
    with pytest.raises(InputError):
        check_files(tmp_path / "none", tmp_path / "trust", None, as_json=False, show=False)


# What it needs

LOOK_OUT = """
import sys
ALLOWED = sys.stdlib_module_names | {"audit_pipeline", "cryptography", "cffi", "_cffi_backend", "pycparser"}
class LookOut:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in ALLOWED:
            raise ImportError(f"the auditor has no {name}")
        allowed = ("audit_pipeline", "audit_pipeline.errors", "audit_pipeline.check", "audit_pipeline.records")
        if name.startswith("audit_pipeline") and name not in (*allowed, "audit_pipeline.records.canonical"):
            if not name.startswith(("audit_pipeline.tlog", "audit_pipeline.check.")):
                raise ImportError(f"the auditor does not read {name}")
sys.meta_path.insert(0, LookOut())
from audit_pipeline.check import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_check_imports_the_standard_library_and_cryptography_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOOK_OUT, *files(tmp_path)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "shown: signed" in done.stdout


def test_the_wheel_beside_cryptography_checks_in_an_empty_environment(tmp_path: Path) -> None:
    """Nothing else of the environment of the tests is there: not even by a path."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    venv.create(tmp_path / "env", with_pip=False)
    python = str(tmp_path / "env" / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True, timeout=300)
    site = subprocess.check_output([python, "-c", "import site; print(site.getsitepackages()[0])"], text=True).strip()
    for needed in (
        "cryptography",
        "cffi",
        *(path.name for path in Path(sysconfig.get_path("platlib")).glob("_cffi_*")),
    ):
        (Path(site) / needed).symlink_to(Path(sysconfig.get_path("platlib")) / needed)
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}

    done = subprocess.run(
        [python, "-m", "audit_pipeline.check", *files(tmp_path)],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "shown: signed" in done.stdout
