"""The public test data of other implementations, where it lies beside the repository."""

import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit_pipeline.errors import ProofError
from audit_pipeline.tlog import (
    ED25519_COSIGNATURE,
    Checkpoint,
    TreeHead,
    check_consistency,
    check_inclusion,
    cosign_text,
    hash_leaves,
    open_checkpoint,
    open_note,
    parse_vkey,
    sign_checkpoint,
    tiles_for,
    tree_root,
)

from .support import VECTORS, needs_vectors, parse_skey, signer
from .test_keys import SUNLIGHT_VKEY, TESSERA_SKEY

pytestmark = needs_vectors

TESSERA = VECTORS / "tessera" / "log"
MIRROR = VECTORS / "sunlight" / "mirror"


def cases(kind: str) -> Iterator[tuple[str, dict[str, object]]]:
    folder = VECTORS / "merkle" / "testdata" / kind
    for path in sorted(folder.rglob("*.json")):
        yield str(path.relative_to(folder)), json.loads(path.read_text())


def raw(encoded: object) -> bytes:
    assert isinstance(encoded, str)
    return base64.b64decode(encoded)


def proof_of(case: dict[str, object]) -> list[bytes]:
    found = case["proof"] or []
    assert isinstance(found, list)
    return [raw(encoded) for encoded in found]


def number(found: object) -> int:
    assert isinstance(found, int)
    return found


def test_inclusion_proofs_are_judged_as_transparency_dev_merkle_judges_them() -> None:
    verdicts = {}
    for name, case in cases("inclusion"):
        try:
            head = TreeHead(number(case["treeSize"]), raw(case["root"]))
            check_inclusion(raw(case["leafHash"]), number(case["leafIdx"]), head, proof_of(case))
        except ProofError:
            verdicts[name] = True
        else:
            verdicts[name] = False

    assert len(verdicts) == 98
    assert verdicts == {name: case["wantErr"] for name, case in cases("inclusion")}


def test_consistency_proofs_are_judged_as_transparency_dev_merkle_judges_them() -> None:
    """But for one, whose roots are 12 bytes of placeholder: here every hash has 32 bytes."""
    verdicts = {}
    for name, case in cases("consistency"):
        try:
            old = TreeHead(number(case["size1"]), raw(case["root1"]))
            new = TreeHead(number(case["size2"]), raw(case["root2"]))
            check_consistency(old, new, proof_of(case))
        except ProofError:
            verdicts[name] = True
        else:
            verdicts[name] = False

    assert len(verdicts) == 98
    judged_otherwise = [name for name, case in cases("consistency") if verdicts[name] != case["wantErr"]]
    assert judged_otherwise == ["additional/sizes-are-equal-one-and-proof-is-empty.json"]


def tessera_entries(size: int) -> list[bytes]:
    """The entries of a bundle: a length of two bytes, big-endian, before each."""
    if size == 0:
        return []
    bundle = (TESSERA / "tile" / "entries" / f"000.p/{size}").read_bytes()
    entries = []
    while bundle:
        (length,) = struct.unpack_from(">H", bundle)
        entries.append(bundle[2 : 2 + length])
        bundle = bundle[2 + length :]
    return entries


def files_under(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("size", range(16))
def test_a_tessera_log_is_remade_byte_for_byte(size: int) -> None:
    log = parse_skey(TESSERA_SKEY)
    leaves = hash_leaves(tessera_entries(size))

    head = Checkpoint("example.com/log/testdata", size, tree_root(leaves))
    note = (TESSERA / f"checkpoint.{size}").read_bytes()
    assert sign_checkpoint(head, log) == note
    assert open_checkpoint(note, [log.verifier])[0] == head
    for path, hashes in tiles_for(leaves):
        assert (TESSERA / path).read_bytes() == hashes


def test_no_tile_of_a_tessera_log_is_left_out() -> None:
    made = dict(entry for size in range(16) for entry in tiles_for(hash_leaves(tessera_entries(size))))

    stored = {f"tile/0/{name}": content for name, content in files_under(TESSERA / "tile" / "0").items()}
    assert made == stored
    assert len(stored) == 15


def mirrored_log() -> Path:
    (folder,) = [path for path in MIRROR.iterdir() if path.is_dir()]
    return folder


def test_the_tiles_of_a_sunlight_mirror_are_remade_byte_for_byte() -> None:
    leaves = hash_leaves(b"record %d" % number for number in range(300))

    stored = {path: content for path, content in files_under(mirrored_log()).items() if path.startswith("tile/")}
    bundles = {path for path in stored if path.startswith("tile/entries/")}
    assert dict(tiles_for(leaves)) == {path: stored[path] for path in stored.keys() - bundles}


def test_the_cosignature_of_a_sunlight_mirror_is_remade_byte_for_byte() -> None:
    mirror = signer("mirror.example.org", ED25519_COSIGNATURE, seed="skylight test mirror key")
    note = (mirrored_log() / "checkpoint").read_bytes()

    opened = open_note(note, [parse_vkey(SUNLIGHT_VKEY)])

    assert [found.timestamp_s for found in opened.signatures] == [1_767_139_200]
    assert opened.text.encode() + b"\n" + cosign_text(opened.text, mirror, 1_767_139_200) == note
    leaves = hash_leaves(b"record %d" % number for number in range(300))
    assert base64.b64decode(opened.text.split("\n")[2]) == tree_root(leaves)
