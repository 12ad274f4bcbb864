"""The keys that sign a log, by URI: a file here, or a key that a cloud's key service keeps and signs with.

    file:<path>                    PKCS#8, opened with AUDIT_KEY_PASSPHRASE
    awskms:<key id, alias or ARN>
    gcpkms:projects/<p>/locations/<l>/keyRings/<r>/cryptoKeys/<k>/cryptoKeyVersions/<n>
    azurekv:<vault>/<secret>       PKCS#8 kept as a secret: Azure's services have no Ed25519

Without any, a profile's keys are the files in its folder of keys. Key services keep the private key to themselves, so
what they are asked for is one signature of at most 4096 bytes, of a text that is public.
"""

from collections.abc import Sequence

from audit_pipeline import tlog
from audit_pipeline.errors import InputError
from audit_pipeline.lake.declared import SEALS
from audit_pipeline.lake.keys import KEY_FILE, key_files, load_key_file, read_vkey
from audit_pipeline.lake.logbook import published_keys, read_log
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.places import Places

KEY_SCHEMES = ("file:", "awskms:", "gcpkms:", "azurekv:")


def load_signers(places: Places, passphrase: bytes | None) -> tuple[tlog.Signer, ...]:
    """The keys of a profile that are there.

    Raises:
        InputError: there is none, or one does not open.
    """
    name = tlog.parse_vkey(read_vkey(places.keys)).name
    uris = (
        places.signing_keys or [f"file:{path}" for path in key_files(places.keys)] or [f"file:{places.keys / KEY_FILE}"]
    )
    return tuple(load_signer(uri, name, passphrase) for uri in uris)


def load_signer(uri: str, name: str, passphrase: bytes | None) -> tlog.Signer:
    """The key at a URI, to sign the log called `name`. A key service is not asked yet for anything but its public key.

    Raises:
        InputError: it is not there, not an Ed25519 key, or its library is not installed.
        StorageError: its service does not answer, or refuses.
    """
    scheme, _, where = uri.partition(":")
    if scheme == "file":
        from pathlib import Path

        return load_key_file(Path(where), name, passphrase)
    if scheme == "awskms":
        from audit_pipeline.signers.awskms import AwsKey

        return tlog.Signer(name, tlog.ED25519, AwsKey(where))
    if scheme == "gcpkms":
        from audit_pipeline.signers.gcpkms import GcpKey

        return tlog.Signer(name, tlog.ED25519, GcpKey(where))
    if scheme == "azurekv":
        from audit_pipeline.signers.azurekv import load_secret_key

        return tlog.Signer(name, tlog.ED25519, load_secret_key(where, passphrase))
    raise InputError(f"signing key {uri!r}: expected file:, awskms:, gcpkms: or azurekv: and where the key is")


def signers_at(keys: tlog.LogKeys, size: int, signers: Sequence[tlog.Signer]) -> list[tlog.Signer]:
    """Those that sign a checkpoint of this size: the key in force, then those of before that are still there.

    Raises:
        InputError: the key in force is not among them.
    """
    there = {signer.verifier: signer for signer in signers}
    needed = keys.in_force(size)
    if needed not in there:
        raise InputError(
            f"{needed.name}: its key in force, {needed.key_id.hex()}, is not among the {len(there)} keys here; restore "
            "it from your backup, or name it in `signing_keys` of the profile"
        )
    before = keys.keys[: keys.keys.index(needed)]
    return [there[needed], *(there[key] for key in reversed(before) if key in there)]


def signer_in_force(lake: Lake, passphrase: bytes | None) -> tlog.Signer:
    """The key that signs what the log says now.

    Raises:
        InputError: it is not among the keys of the profile, or does not open.
    """
    log = read_log(seals) if (seals := lake.find(SEALS)) is not None else []
    return signers_at(published_keys(lake), len(log), load_signers(lake.places, passphrase))[0]


def custody_notes(uris: Sequence[str]) -> list[str]:
    """What a verifier should know of where the keys lie: a key that can be read can be copied."""
    return [
        f"the key {uri} is a software key, kept as a secret: whoever may read the secret can copy it and sign elsewhere"
        for uri in uris
        if uri.startswith("azurekv:")
    ]
