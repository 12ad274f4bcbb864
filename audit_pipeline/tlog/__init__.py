"""The transparency log: trees, tiles, notes, checkpoints, proofs and the entries they are about.

Pure functions and frozen values: no file, network, clock or randomness. Imports the standard library and `cryptography`
alone, so that an auditor can read and run all of it.
"""

from audit_pipeline.tlog.checkpoint import (
    Checkpoint,
    format_checkpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from audit_pipeline.tlog.draft import format_draft, parse_draft
from audit_pipeline.tlog.entries import (
    SealEntry,
    SourceEntry,
    format_seal,
    format_source,
    parse_seal,
    parse_source,
    source_order,
)
from audit_pipeline.tlog.inventory import Inventory, StoredFile, open_inventory, sign_inventory
from audit_pipeline.tlog.keys import (
    ED25519,
    ED25519_COSIGNATURE,
    ML_DSA_44_COSIGNATURE,
    PrivateKey,
    PublicKey,
    Signer,
    Verifier,
    format_vkey,
    key_id,
    parse_vkey,
)
from audit_pipeline.tlog.mark import Mark, format_mark, parse_mark
from audit_pipeline.tlog.merkle import (
    EMPTY_ROOT,
    HashNodes,
    TreeHead,
    check_consistency,
    check_inclusion,
    hash_leaves,
    hash_pairs,
    leaf_hash,
    node_hash,
    prove_consistency,
    prove_inclusion,
    tree_root,
)
from audit_pipeline.tlog.note import HAS_ML_DSA_44, Note, Signature, cosign_text, open_note, sign_note
from audit_pipeline.tlog.proof import InclusionProof, check_proof, format_proof, parse_proof
from audit_pipeline.tlog.tiles import Tile, parse_tile_path, tile_path, tiles_for

__all__ = [
    "ED25519",
    "ED25519_COSIGNATURE",
    "EMPTY_ROOT",
    "HAS_ML_DSA_44",
    "ML_DSA_44_COSIGNATURE",
    "Checkpoint",
    "HashNodes",
    "InclusionProof",
    "Inventory",
    "Mark",
    "Note",
    "PrivateKey",
    "PublicKey",
    "SealEntry",
    "Signature",
    "Signer",
    "SourceEntry",
    "StoredFile",
    "Tile",
    "TreeHead",
    "Verifier",
    "check_consistency",
    "check_inclusion",
    "check_proof",
    "cosign_text",
    "format_checkpoint",
    "format_draft",
    "format_mark",
    "format_proof",
    "format_seal",
    "format_source",
    "format_vkey",
    "hash_leaves",
    "hash_pairs",
    "key_id",
    "leaf_hash",
    "node_hash",
    "open_checkpoint",
    "open_inventory",
    "open_note",
    "parse_checkpoint",
    "parse_draft",
    "parse_mark",
    "parse_proof",
    "parse_seal",
    "parse_source",
    "parse_tile_path",
    "parse_vkey",
    "prove_consistency",
    "prove_inclusion",
    "sign_checkpoint",
    "sign_inventory",
    "sign_note",
    "source_order",
    "tile_path",
    "tiles_for",
    "tree_root",
]
