"""Keys, values and strategies that the tests of this folder share."""

import base64
import hashlib
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st

from audit_pipeline.tlog import (
    ED25519,
    ED25519_COSIGNATURE,
    Checkpoint,
    Mark,
    SealEntry,
    Signer,
    SourceEntry,
    hash_leaves,
    tree_root,
)

VECTORS = Path(__file__).parents[2].parent / "shared" / "vectors"
needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason="public test vectors are not beside the repository")

ORIGIN = "log.example/2c7d"
LAKE = "0123456789abcdef" * 2
ENTRIES = [b"entry %d" % number for number in range(300)]
LEAVES = hash_leaves(ENTRIES)


def digest_of(seed: object) -> str:
    return hashlib.sha256(repr(seed).encode()).hexdigest()


def signer(name: str = ORIGIN, signature_type: int = ED25519, seed: str | None = None) -> Signer:
    """A key that is the same in every run."""
    secret = hashlib.sha256((seed or name).encode()).digest()
    return Signer(name, signature_type, Ed25519PrivateKey.from_private_bytes(secret))


def witness(name: str = "witness.example/w1") -> Signer:
    return signer(name, ED25519_COSIGNATURE)


def checkpoint(size: int = 7, origin: str = ORIGIN) -> Checkpoint:
    return Checkpoint(origin, size, tree_root(LEAVES[: 32 * size]))


def parse_skey(skey: str) -> Signer:
    """A Go private key: PRIVATE+KEY+<name>+<key id>+<base64 of type || seed>."""
    name, _, encoded = skey.removeprefix("PRIVATE+KEY+").split("+", 2)
    typed_seed = base64.b64decode(encoded)
    return Signer(name, typed_seed[0], Ed25519PrivateKey.from_private_bytes(typed_seed[1:]))


def source_entry(number: int = 0, **changes: object) -> SourceEntry:
    fields: dict[str, object] = {
        "lake": LAKE,
        "stream": "runs",
        "source": digest_of(number),
        "day": date(2026, 11, 3),
        "generation": 0,
        "snapshot": 0,
        "position": 0,
        "records": 12,
        "start": 0,
        "end": 4096,
        "container": "jsonl",
        "compression": "none",
        "growth": "new",
        "supersedes": None,
        "content": digest_of("content"),
        "exceptions": digest_of("exceptions"),
        "root": digest_of("root"),
    }
    return SourceEntry(**(fields | changes))  # type: ignore[arg-type]


def seal_entry(**changes: object) -> SealEntry:
    fields: dict[str, object] = {
        "kind": "seal",
        "lake": LAKE,
        "day": date(2026, 11, 3),
        "segment": 1,
        "previous": None,
        "sources": 2,
        "records": 24,
        "size": 2,
        "root": digest_of("day"),
        "adapters": ("jsonl@1", "trl@2.1"),
        "pseudonym_key": "k1",
        "policy": digest_of("policy"),
        "time": datetime(2026, 11, 4, 0, 5, 9, tzinfo=UTC),
        "nonce": digest_of("nonce"),
    }
    return SealEntry(**(fields | changes))  # type: ignore[arg-type]


numbers = st.integers(0, 10**18 - 1)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
lakes = st.binary(min_size=16, max_size=16).map(bytes.hex)
days = st.dates()
words = st.from_regex(r"[!-,.-~][!-~]{0,20}", fullmatch=True)
adapters = st.from_regex(r"[!-,.-?A-~][!-?A-~]{0,9}@[!-?A-~]{1,9}", fullmatch=True)
origins = st.from_regex(r"[!-*,-~]{1,40}", fullmatch=True)
ranges = st.tuples(numbers, numbers).map(sorted)
source_entries = ranges.flatmap(
    lambda taken: st.builds(
        SourceEntry,
        lake=lakes,
        stream=st.from_regex(r"[a-z_][a-z0-9_-]{0,62}", fullmatch=True),
        source=digests,
        day=days,
        generation=numbers,
        snapshot=numbers,
        position=numbers,
        records=numbers,
        start=st.just(taken[0]),
        end=st.just(taken[1]),
        container=st.sampled_from(
            ["jsonl", "text", "json", "csv", "parquet", "tfrecord", "sqlite", "whole", "hash_only"]
        ),
        compression=st.sampled_from(["none", "gzip", "zstd"]),
        growth=st.sampled_from(["new", "appended", "extended", "rewritten"]),
        supersedes=st.none() | st.tuples(numbers, numbers),
        content=digests,
        exceptions=digests,
        root=digests,
    )
)
seal_entries = st.builds(
    SealEntry,
    kind=st.sampled_from(["seal", "erasure", "erased"]),
    lake=lakes,
    day=days,
    segment=st.integers(1, 10**18 - 1),
    previous=st.none() | digests,
    sources=numbers,
    records=numbers,
    size=numbers,
    root=digests,
    adapters=st.lists(adapters, max_size=4, unique=True).map(lambda found: tuple(sorted(found))),
    pseudonym_key=st.none() | words,
    policy=digests,
    time=st.datetimes(timezones=st.just(UTC)).map(lambda time: time.replace(microsecond=0)),
    nonce=digests,
)
marks = st.builds(
    Mark,
    origin=origins,
    previous=st.none() | digests,
    size=numbers,
    root=digests,
    inventory=st.none() | digests,
    ledger=st.none() | digests,
)


def flipped(encoded: bytes) -> list[bytes]:
    """Every copy of these bytes that differs in one bit."""
    copies = []
    for at, byte in enumerate(encoded):
        copies += [encoded[:at] + bytes([byte ^ (1 << bit)]) + encoded[at + 1 :] for bit in range(8)]
    return copies
