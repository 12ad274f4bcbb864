"""Inventories: the signed lists of stored files, as docs/evidence-format.md section 6 defines them.

Inventories form a chain: each names the SHA-256 of the one before, as it was stored, and lists what came since. The key
signs the digest of the list, not the list, because key services sign short messages only.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog.encoding import decode_ascii, shown
from audit_pipeline.tlog.entries import DIGEST, NUMBER
from audit_pipeline.tlog.keys import Signer, Verifier
from audit_pipeline.tlog.note import open_note, sign_note

MAX_INVENTORY_BYTES = 512 << 20  # five million files; refused before anything is parsed

_HEAD = re.compile(
    "audit-inventory/v1\n"
    "lake ([0-9a-f]{32})\n"
    f"number {NUMBER}\n"
    f"previous (?:-|{DIGEST})\n"
    f"log {NUMBER}\n"
    f"list {DIGEST}\n"
)
_TABLES = re.compile(f"tables {NUMBER}")
_TABLE = re.compile(f"([a-z][a-z0-9_]*) {NUMBER}")
_FILES = re.compile(f"files {NUMBER}")
_FILE = re.compile(f"{DIGEST} {NUMBER} ((?:lake|evidence|log)/[!-~]+)")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file as it was when it was listed."""

    path: str
    """`lake/…`, `evidence/…` or `log/…`."""
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What was added or replaced since the inventory before."""

    lake: str
    number: int
    """From 1."""
    previous: str | None
    """SHA-256 of the inventory before, as it was stored."""
    log_size: int
    """Entries of the log that are covered, with their drafts and tiles."""
    tables: tuple[tuple[str, int], ...]
    """(table, newest commit that is covered), by name."""
    files: tuple[StoredFile, ...]
    """By path."""


def sign_inventory(inventory: Inventory, signer: Signer) -> bytes:
    """The inventory's bytes, to store.

    Raises:
        InputError: a field is outside the grammar.
    """
    head, listed = _texts(inventory)
    try:
        is_same = _parse(head, listed) == inventory
    except ProofError as err:
        raise InputError(str(err)) from err
    if not is_same:
        raise InputError("inventory: a field is outside the grammar of docs/evidence-format.md")
    return sign_note(head, [signer]) + b"\n" + listed.encode()


def open_inventory(stored: bytes, verifiers: Iterable[Verifier]) -> Inventory:
    """The inventory that `sign_inventory` signed.

    Raises:
        ProofError: no key among `verifiers` signed it, or it is not written as ours are.
    """
    if len(stored) > MAX_INVENTORY_BYTES:
        raise ProofError(f"inventory: expected at most {MAX_INVENTORY_BYTES} bytes, got {len(stored)}")
    text, _, rest = stored.partition(b"\n\n")
    signatures, _, listed = rest.partition(b"\n\n")
    head = open_note(b"%b\n\n%b\n" % (text, signatures), verifiers).text
    return _parse(head, decode_ascii(listed, "inventory"))


def _texts(inventory: Inventory) -> tuple[str, str]:
    """What is signed, and the list whose digest that says."""
    tables = "".join([f"{name} {version}\n" for name, version in inventory.tables])
    files = "".join([f"{file.sha256} {file.size_bytes} {file.path}\n" for file in inventory.files])
    listed = f"tables {len(inventory.tables)}\n{tables}files {len(inventory.files)}\n{files}"
    head = (
        f"audit-inventory/v1\nlake {inventory.lake}\nnumber {inventory.number}\nprevious {inventory.previous or '-'}\n"
        f"log {inventory.log_size}\nlist {hashlib.sha256(listed.encode()).hexdigest()}\n"
    )
    return head, listed


def _parse(text: str, listed: str) -> Inventory:
    head = _HEAD.fullmatch(text)
    if head is None:
        raise ProofError(f"inventory: expected the fields of audit-inventory/v1 in order, got {shown(text[:200])}")
    lake, number, previous, log_size, digest = head.groups()
    if hashlib.sha256(listed.encode()).hexdigest() != digest:
        raise ProofError(f"inventory {number}: its list is not the one that was signed")
    lines = listed.split("\n")
    (table_count,) = _fields(_TABLES, lines[0])
    rest = lines[1 + int(table_count) :]
    tables = [_fields(_TABLE, line) for line in lines[1 : 1 + int(table_count)]]
    (file_count,) = _fields(_FILES, rest[0] if rest else "")
    files = [_fields(_FILE, line) for line in rest[1:-1]]
    inventory = Inventory(
        lake,
        int(number),
        previous,
        int(log_size),
        tuple((name, int(version)) for name, version in tables),
        tuple(StoredFile(path, int(size), digest) for digest, size, path in files),
    )
    names, paths = [name for name, _ in inventory.tables], [file.path for file in inventory.files]
    # What it would be written as: leading zeros, a count that is not the lines', an order of its own.
    if (
        _texts(inventory) != (text, listed)
        or names != sorted(set(names))
        or paths != sorted(set(paths))
        or len(files) != int(file_count)
        or any(part in {"", ".", ".."} for path in paths for part in path.split("/"))
    ):
        raise ProofError(f"inventory {number}: is not written as ours are")
    return inventory


def _fields(pattern: re.Pattern[str], line: str) -> tuple[str, ...]:
    match = pattern.fullmatch(line)
    if match is None:
        raise ProofError(f"inventory: expected a line {pattern.pattern}, got {shown(line)}")
    return match.groups()
