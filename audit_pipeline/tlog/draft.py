"""Drafts of seals: what a segment will be, decided once, as docs/evidence-format.md section 5 defines them.

    <seal entry>
    <empty line>
    <source entry> …        in the order of the day tree

A draft that was formatted or parsed here agrees with itself: the seal's counts and root are those of its entries.
"""

from collections.abc import Sequence
from itertools import pairwise

from audit_pipeline.errors import ProofError
from audit_pipeline.tlog.encoding import decode_ascii, shown
from audit_pipeline.tlog.entries import (
    SOURCE_PATTERN,
    SealEntry,
    SourceEntry,
    format_seal,
    format_source,
    parse_seal,
    source_of,
    source_order,
)
from audit_pipeline.tlog.merkle import HashNodes, hash_leaves, hash_pairs, tree_root


def format_draft(seal: SealEntry, sources: Sequence[SourceEntry], hash_nodes: HashNodes = hash_pairs) -> bytes:
    """The draft's bytes.

    Raises:
        InputError: a field of an entry is outside the grammar.
        ProofError: the seal is not the seal of these entries in this order.
    """
    entries = [format_source(source) for source in sources]
    _check_draft(seal, sources, entries, hash_nodes)
    return b"\n".join([format_seal(seal), b"".join(entries)])


def parse_draft(encoded: bytes, hash_nodes: HashNodes = hash_pairs) -> tuple[SealEntry, tuple[SourceEntry, ...]]:
    """The seal and the source entries that `format_draft` wrote.

    Raises:
        ProofError: it could not have.
    """
    head, found, tail = encoded.partition(b"\n\n")
    if not found:
        raise ProofError("draft: expected an empty line after the seal entry")
    seal = parse_seal(head + b"\n")
    name = f"draft of {seal.day}/{seal.segment}"
    text = decode_ascii(tail, name)
    sources: list[SourceEntry] = []
    entries: list[bytes] = []
    at = 0
    while at < len(text):
        match = SOURCE_PATTERN.match(text, at)
        if match is None:
            raise ProofError(f"{name}: expected source entry {len(sources)}, got {shown(text[at : at + 80])}")
        sources.append(source_of(match))
        entries.append(match[0].encode("ascii"))
        at = match.end()
    _check_draft(seal, sources, entries, hash_nodes)
    return seal, tuple(sources)


def _check_draft(
    seal: SealEntry, sources: Sequence[SourceEntry], entries: Sequence[bytes], hash_nodes: HashNodes
) -> None:
    name = f"draft of {seal.day}/{seal.segment}"
    order = [source_order(source) for source in sources]
    if any(before >= after for before, after in pairwise(order)):
        raise ProofError(f"{name}: its source entries are not in the order of the day tree, or one is there twice")
    if strays := [source.source for source in sources if (source.lake, source.day) != (seal.lake, seal.day)]:
        raise ProofError(f"{name}: source {strays[0]} is of another lake or day")
    sums = (len({source.source for source in sources}), sum(source.records for source in sources), len(sources))
    if sums != (seal.sources, seal.records, seal.size):
        said = (seal.sources, seal.records, seal.size)
        raise ProofError(f"{name}: the seal says (sources, records, size) = {said}, its source entries give {sums}")
    root = tree_root(hash_leaves(entries), hash_nodes).hex()
    if root != seal.root:
        raise ProofError(f"{name}: the seal says root {seal.root}, its source entries give {root}")
