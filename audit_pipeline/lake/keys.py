"""The log's signing key: one PKCS#8 file in a 0700 folder, never made or replaced silently."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_pipeline import tlog
from audit_pipeline.errors import InputError, StorageError

KEY_FILE = "key.pem"
VKEY_FILE = "vkey"
LAKE_ID_BYTES = 16
_PREFIX = re.compile(r"[A-Za-z0-9.\-]+(/[A-Za-z0-9._\-]+)*")
_MAX_PREFIX = 200  # an origin has at most 255 bytes (C2SP tlog-checkpoint), of which the lake id takes 33


def make_keys(folder: Path, prefix: str, entropy: Callable[[int], bytes], passphrase: bytes | None) -> str:
    """Make a lake id and a signing key; gives back the vkey, which anyone may know.

    The origin of the log, and the name of the key, is `prefix`/`lake id`.

    Raises:
        InputError: `folder` has a key already, or `prefix` is no schemeless URL prefix.
    """
    if not _PREFIX.fullmatch(prefix) or len(prefix) > _MAX_PREFIX:
        raise InputError(
            f"origin prefix {prefix!r}: expected a host and path without a scheme, such as example.com/audit"
        )
    for name in (KEY_FILE, VKEY_FILE):
        if (folder / name).exists():
            raise InputError(
                f"{folder / name}: there is a key already, and a log cannot change its key; restore what is missing "
                "from your backup, or use another home"
            )
    origin = f"{prefix}/{entropy(LAKE_ID_BYTES).hex()}"
    private = Ed25519PrivateKey.from_private_bytes(entropy(32))
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase)
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    vkey = tlog.format_vkey(tlog.Signer(origin, tlog.ED25519, private).verifier)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        _write_private(folder / VKEY_FILE, vkey.encode() + b"\n", 0o644)
        _write_private(folder / KEY_FILE, pem, 0o600)
    except OSError as err:
        raise StorageError(f"{folder}: the key cannot be written: {err.strerror}") from err
    return vkey


def read_vkey(folder: Path) -> str:
    """The vkey beside the key."""
    try:
        return (folder / VKEY_FILE).read_text().strip()
    except FileNotFoundError as err:
        raise InputError(f"{folder / VKEY_FILE}: no key here; `audit-pipeline keygen` makes one") from err
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"{folder / VKEY_FILE}: cannot be read; restore it from your backup of the keys") from err


def load_signer(folder: Path, passphrase: bytes | None) -> tlog.Signer:
    """The key that signs checkpoints.

    Raises:
        InputError: no key, a wrong passphrase, or a key that is not the vkey's.
    """
    path = folder / KEY_FILE
    try:
        pem = path.read_bytes()
    except OSError as err:
        raise InputError(
            f"{path}: cannot be read ({err.strerror}); restore it from your backup, never make a new one"
        ) from err
    try:
        private = serialization.load_pem_private_key(pem, passphrase or None)
    except (ValueError, TypeError) as err:
        raise InputError(f"{path}: does not open; set AUDIT_KEY_PASSPHRASE to the passphrase it was made with") from err
    if not isinstance(private, Ed25519PrivateKey):
        raise InputError(f"{path}: not an Ed25519 key")
    verifier = tlog.parse_vkey(read_vkey(folder))
    signer = tlog.Signer(verifier.name, tlog.ED25519, private)
    if signer.verifier != verifier:
        raise InputError(f"{path}: is not the key of {folder / VKEY_FILE}; restore both from the same backup")
    return signer


def _write_private(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
