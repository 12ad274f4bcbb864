"""The keys of a lake: PKCS#8 files in a 0700 folder, never made or replaced silently.

`key.pem` signs the log, after a rotation `key-2.pem`, and so on; while an older one is there it signs too. The first
line, before the PEM block, is `origin <origin of the log>`; with it the vkey follows from this file alone. `vkey` is
that of the first key, for ever. Keys elsewhere are named by the profile (`audit_pipeline.signers`).

`pseudonym.pem` and `bounding.pem` hold 32 secret bytes each, in the same form so that they are encrypted alike; they
sign nothing.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_pipeline import tlog
from audit_pipeline.errors import InputError, StorageError
from audit_pipeline.lake.objects import sync_file
from audit_pipeline.records.pseudonyms import KEY_BYTES, PersonKeys

KEY_FILE = "key.pem"
_KEY_FILES = re.compile(r"key(-[2-9]|-[1-9][0-9]+)?\.pem")
PERSON_FILES = ("pseudonym.pem", "bounding.pem")
VKEY_FILE = "vkey"
LAKE_ID_BYTES = 16
_PREFIX = re.compile(r"[A-Za-z0-9.\-]+(/[A-Za-z0-9._\-]+)*")
_ORIGIN = re.compile(rb"origin ([\x21-\x7e]+)\n")  # RFC 7468 section 2 allows text before the block
_MAX_PREFIX = 200  # an origin has at most 255 bytes (C2SP tlog-checkpoint), of which the lake id takes 33


def make_keys(folder: Path, prefix: str, entropy: Callable[[int], bytes], passphrase: bytes | None) -> str:
    """Make a lake id and its keys; gives back the vkey, which anyone may know.

    The origin of the log, and the name of the key, is `prefix`/`lake id`. What a call that was cut off, or an older
    version, left out is made; of what is there, nothing is made again.

    Raises:
        InputError: `folder` has a key already, or `prefix` is no schemeless URL prefix.
    """
    check_prefix(prefix)
    key, vkey_file = folder / KEY_FILE, folder / VKEY_FILE
    is_begun = key.exists() and not vkey_file.exists()
    if is_begun:
        private, origin = _read_key(key, passphrase)
    else:
        origin = f"{prefix}/{entropy(LAKE_ID_BYTES).hex()}"
        private = Ed25519PrivateKey.from_private_bytes(entropy(32))
    if vkey_file.exists() and key_files(folder) and _missing(folder):
        _make_person_keys(folder, entropy, passphrase)
        return read_vkey(folder)
    if vkey_file.exists() or origin is None:
        raise InputError(
            f"{key if key.exists() else vkey_file}: there is a key already; restore what is missing from your backup, "
            "or use another home. `audit-pipeline key rotate` changes the key of a log"
        )
    vkey = tlog.format_vkey(tlog.Signer(origin, tlog.ED25519, private).verifier)
    try:
        if not is_begun:
            _make_private_folder(folder)
            _put_new(key, f"origin {origin}\n".encode() + _pem(private, passphrase), 0o600)
        _make_person_keys(folder, entropy, passphrase)
        # Last: a vkey alone would be of a key that nobody has.
        _put_new(vkey_file, vkey.encode() + b"\n", 0o644)
    except OSError as err:
        raise StorageError(f"{folder}: the key cannot be written: {err.strerror}; run again") from err
    return vkey


def adopt_key(
    folder: Path,
    prefix: str,
    load: Callable[[str], tlog.Signer],
    entropy: Callable[[int], bytes],
    passphrase: bytes | None,
) -> str:
    """As `make_keys`, for a log whose signing key is made and kept elsewhere. `load` gives it, to sign for an origin.

    Where the key is named already, what is missing beside it is made.

    Raises:
        InputError: `folder` names a key already, `prefix` is no schemeless URL prefix, or the key cannot be used.
        StorageError: the key's service does not answer.
    """
    check_prefix(prefix)
    vkey_file = folder / VKEY_FILE
    is_named = vkey_file.exists()
    if is_named and not _missing(folder):
        raise InputError(f"{vkey_file}: there is a key already; `audit-pipeline key rotate` changes the key of a log")
    vkey = read_vkey(folder) if is_named else ""
    vkey = vkey or tlog.format_vkey(load(f"{prefix}/{entropy(LAKE_ID_BYTES).hex()}").verifier)
    try:
        _make_private_folder(folder)
        _make_person_keys(folder, entropy, passphrase)
        if not is_named:
            _put_new(vkey_file, vkey.encode() + b"\n", 0o644)
    except OSError as err:
        raise StorageError(f"{folder}: the keys cannot be written: {err.strerror}; run again") from err
    return vkey


def check_prefix(prefix: str) -> None:
    """Check that an origin may begin with `prefix`.

    Raises:
        InputError: it is no schemeless URL prefix, or too long.
    """
    if not _PREFIX.fullmatch(prefix) or len(prefix) > _MAX_PREFIX:
        raise InputError(
            f"origin prefix {prefix!r}: expected a host and path without a scheme, such as example.com/audit"
        )


def keys_exist(folder: Path) -> bool:
    """Whether all files are there, so that there is nothing to make or to finish."""
    return bool(key_files(folder)) and (folder / VKEY_FILE).exists() and not _missing(folder)


def read_vkey(folder: Path) -> str:
    """The vkey beside the key."""
    try:
        return (folder / VKEY_FILE).read_text().strip()
    except FileNotFoundError as err:
        raise InputError(
            f"{folder / VKEY_FILE}: no key here; restore the folder from your backup, or make the first keys of a new "
            "home: `audit-pipeline keygen`"
        ) from err
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"{folder / VKEY_FILE}: cannot be read; restore it from your backup of the keys") from err


def key_files(folder: Path) -> list[Path]:
    """The files of keys that sign, in order."""
    found = [path for path in folder.glob("key*.pem") if _KEY_FILES.fullmatch(path.name)]
    return sorted(found, key=lambda path: (len(path.name), path.name))


def load_key_file(path: Path, name: str, passphrase: bytes | None) -> tlog.Signer:
    """A key that signs the log called `name`.

    Raises:
        InputError: no key, a wrong passphrase, or a key of another log.
    """
    private, origin = _read_key(path, passphrase)
    if origin not in (None, name):
        raise InputError(f"{path}: is the key of {origin}, this log is {name}; restore the right one from your backup")
    return tlog.Signer(name, tlog.ED25519, private)


def make_next_key(
    folder: Path, name: str, number: int, entropy: Callable[[int], bytes], passphrase: bytes | None
) -> Path:
    """The file of a log's key `number`, counted from 1; made if it is not there."""
    path = folder / f"key-{number}.pem"
    if not path.exists():
        pem = _pem(Ed25519PrivateKey.from_private_bytes(entropy(32)), passphrase)
        try:
            _put_new(path, f"origin {name}\n".encode() + pem, 0o600)
        except OSError as err:
            raise StorageError(f"{path}: the key cannot be written: {err.strerror}; run again") from err
    return path


def load_person_keys(folder: Path, passphrase: bytes | None) -> PersonKeys:
    """The keys by which event tables name people.

    Raises:
        InputError: one is missing, or the passphrase is wrong.
    """
    if missing := _missing(folder):
        raise InputError(
            f"{folder / missing[0]}: missing; restore it from your backup. Only if this lake never had one: "
            "`audit-pipeline keygen` makes what is missing"
        )
    return PersonKeys(*(_read_key(folder / name, passphrase)[0].private_bytes_raw() for name in PERSON_FILES))


def _missing(folder: Path) -> list[str]:
    return [name for name in PERSON_FILES if not (folder / name).exists()]


def _make_person_keys(folder: Path, entropy: Callable[[int], bytes], passphrase: bytes | None) -> None:
    for name in _missing(folder):
        _put_new(folder / name, _pem(Ed25519PrivateKey.from_private_bytes(entropy(KEY_BYTES)), passphrase), 0o600)


def _read_key(path: Path, passphrase: bytes | None) -> tuple[Ed25519PrivateKey, str | None]:
    """The key and the origin of its log; None where the file does not say it."""
    try:
        pem = path.read_bytes()
    except OSError as err:
        raise InputError(
            f"{path}: cannot be read ({err.strerror}); restore it from your backup, never make a new one"
        ) from err
    said = _ORIGIN.match(pem)
    return open_key(pem, str(path), passphrase), said[1].decode("ascii") if said else None


def open_key(pem: bytes, where: str, passphrase: bytes | None) -> Ed25519PrivateKey:
    """The key that a PKCS#8 text holds.

    Raises:
        InputError: a wrong passphrase, or another kind of key.
    """
    try:
        private = serialization.load_pem_private_key(pem, passphrase or None)
    except (ValueError, TypeError) as err:
        raise InputError(
            f"{where}: does not open; set AUDIT_KEY_PASSPHRASE to the passphrase it was made with; if it has none, or "
            "that is the one, it is damaged: restore it from your backup of the keys"
        ) from err
    if not isinstance(private, Ed25519PrivateKey):
        raise InputError(f"{where}: not an Ed25519 key")
    return private


def _pem(private: Ed25519PrivateKey, passphrase: bytes | None) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _make_private_folder(folder: Path) -> None:
    """Make `folder` and those above it, on disk when this returns."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    for path in new:
        sync_file(path)


def _put_new(path: Path, content: bytes, mode: int) -> None:
    """Create the file whole or not at all, on disk when this returns. A file that has this name stays."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)  # of a call that was cut off: nothing was ever signed with what it holds
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.link(temporary, path)
    temporary.unlink()
    sync_file(path)
