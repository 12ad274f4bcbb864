"""A period's report with all that joins it to the signed log, as one zip file (docs/evidence-format.md section 10).

    statement.dsse.json           names every other file with its SHA-256, signed by the log's key
    report.html, report.json, …   the report; `oscal/`, `model_card.md`, `report.pdf`
    checkpoint                    the signed note, byte for byte as it was published
    leaves                        the leaf hashes of the log's entries: what joins an earlier checkpoint to this one
    proofs/<day>.tlog-proof       where the day's last seal is in the log
    proofs/<day>.seal             the seal itself
    keys/1, keys/2, …             the log's handovers, where its key was rotated

Files are stored, not compressed, under one time, in order of their names, so that the same files are the same zip.
"""

import hashlib
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit_pipeline.errors import ProofError
from audit_pipeline.tlog.dsse import open_statement, sign_statement
from audit_pipeline.tlog.encoding import shown
from audit_pipeline.tlog.handover import follow_handovers
from audit_pipeline.tlog.keys import Signer, Verifier

PREDICATE = "urn:rlhf-audit-pipeline:report-bundle:v1"
STATEMENT_FILE = "statement.dsse.json"
HANDOVERS = "keys/"
LEAVES_FILE = "leaves"
ZIP_MAGIC = b"PK\x03\x04"
MOST_BYTES = 256 << 20  # a report is a few MB
_TIME = (1980, 1, 1, 0, 0, 0)  # the first that zip knows
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)?")


@dataclass(frozen=True, slots=True)
class ReportBundle:
    """A bundle whose files are those that were signed."""

    predicate: Mapping[str, Any]
    files: Mapping[str, bytes]
    handovers: tuple[bytes, ...]


def format_report_bundle(files: Mapping[str, bytes], predicate: Mapping[str, Any], signer: Signer) -> bytes:
    """The zip of these files with the signed statement about them."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    statement = sign_statement(PREDICATE, predicate, digests, signer)
    return _packed({**files, STATEMENT_FILE: statement})


def _packed(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, _TIME), content)
    return made.getvalue()


def open_report_bundle(encoded: bytes, trusted: Sequence[Verifier]) -> ReportBundle:
    """The bundle, once its statement is signed by the right key and every file is the one it names.

    That is a key that is trusted, or, where the log's was rotated, the one in force at the size that is stated.

    Raises:
        ProofError: it is not so, or there is a file more or less.
    """
    files = _unpacked(encoded)
    statement = files.pop(STATEMENT_FILE, None)
    if statement is None:
        raise ProofError(f"report bundle: has no {STATEMENT_FILE}")
    names = sorted((name for name in files if name.startswith(HANDOVERS)), key=lambda name: (len(name), name))
    handovers = tuple(files[name] for name in names)
    keys = follow_handovers(trusted, handovers)
    predicate, digests = open_statement(statement, PREDICATE, keys.keys if keys else trusted)
    if keys is not None:
        # Without a checkpoint nothing says how long the log was, so the newest key that is known must have signed.
        size = predicate.get("logSize")
        in_force = keys.in_force(size) if "checkpoint" in files and type(size) is int else keys.keys[-1]
        open_statement(statement, PREDICATE, [in_force])
    for name in sorted(digests.keys() ^ files.keys()):
        raise ProofError(f"report bundle: {shown(name)} is {'missing' if name in digests else 'not in the statement'}")
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != digests[name]:
            raise ProofError(f"report bundle: {name} is not the file that was signed")
    return ReportBundle(predicate, files, handovers)


def _unpacked(encoded: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(encoded)) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > MOST_BYTES:
                raise ProofError(f"report bundle: more than {MOST_BYTES} bytes")
            if len({entry.filename for entry in entries}) != len(entries):
                raise ProofError("report bundle: a file is there twice")
            for entry in entries:
                if entry.compress_type != zipfile.ZIP_STORED or not _NAME.fullmatch(entry.filename):
                    raise ProofError(f"report bundle: {shown(entry.filename)}: no file of ours is named or packed so")
            files = {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as err:
        raise ProofError(f"report bundle: is no zip file of ours: {err}") from err
    if _packed(files) != encoded:
        # Programs that read a zip from its front would find what stands between the files, and its list does not name.
        raise ProofError("report bundle: has bytes beside its files")
    return files
