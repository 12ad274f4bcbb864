"""Report bundles: whatever is changed in one, whoever checks it finds out."""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_pipeline import tlog
from audit_pipeline.check import EXTENDS_HELD, check_report, main
from audit_pipeline.errors import ProofError
from audit_pipeline.report.bundle import bundle_report, evidence_files
from audit_pipeline.reporting.making import render
from audit_pipeline.signers import load_signers
from audit_pipeline.tlog.report_bundle import STATEMENT_FILE, format_report_bundle
from audit_pipeline.tlog.trust import Trust
from tests.lakes import LakeForTests
from tests.report.complete import DAYS
from tests.report.made import ORIGIN, SIGNER, complete_facts

TRUST = Trust((SIGNER.verifier,))
OTHER = tlog.Signer(ORIGIN, tlog.ED25519, Ed25519PrivateKey.from_private_bytes(bytes([1] * 32)))


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return render(complete_facts(), ["html", "oscal"])


@pytest.fixture(scope="module")
def bundle(files: dict[str, bytes]) -> bytes:
    return bundle_report(complete_facts(), files, SIGNER)


def unpacked(bundle: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, compression)
    return made.getvalue()


def test_a_bundle_holds_and_is_the_same_each_time(bundle: bytes, files: dict[str, bytes]) -> None:
    checked = check_report(bundle, TRUST)

    assert bundle == bundle_report(complete_facts(), files, SIGNER)
    assert checked.days == tuple(DAYS)
    assert checked.head is not None
    assert checked.head.size == len(DAYS)
    assert checked.counts["PASS"] == 75


@pytest.mark.parametrize("name", ["report.html", "report.json", "checkpoint", "proofs/2026-10-07.seal", STATEMENT_FILE])
def test_a_changed_file_is_found(bundle: bytes, name: str) -> None:
    content = unpacked(bundle)[name]
    changed = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]

    with pytest.raises(ProofError):
        check_report(packed({**unpacked(bundle), name: changed}), TRUST)


def test_a_file_more_or_less_is_found(bundle: bytes) -> None:
    fewer = {name: content for name, content in unpacked(bundle).items() if name != "report.html"}

    with pytest.raises(ProofError, match=r"report\.html' is missing"):
        check_report(packed(fewer), TRUST)
    with pytest.raises(ProofError, match=r"more\.html' is not in the statement"):
        check_report(packed({**unpacked(bundle), "more.html": b"x"}), TRUST)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_odd_zip_files_are_refused(bundle: bytes) -> None:
    twice = io.BytesIO(bundle)
    with zipfile.ZipFile(twice, "a") as archive:
        archive.writestr("report.html", b"another")

    with pytest.raises(ProofError, match="there twice"):
        check_report(twice.getvalue(), TRUST)
    with pytest.raises(ProofError, match="named or packed so"):
        check_report(packed(unpacked(bundle), zipfile.ZIP_DEFLATED), TRUST)
    with pytest.raises(ProofError, match="named or packed so"):
        check_report(packed({**unpacked(bundle), "../out": b"x"}), TRUST)
    with pytest.raises(ProofError, match="no zip file"):
        check_report(bundle[: len(bundle) // 2], TRUST)


def test_a_file_that_only_readers_from_the_front_would_find_is_refused(bundle: bytes) -> None:
    hidden = packed({"report.html": b"another"})
    hidden = hidden[: hidden.index(b"PK\x01\x02")]
    at = bundle.index(b"PK\x01\x02")
    end = len(bundle) - 22
    listed = int.from_bytes(bundle[end + 16 : end + 20], "little")
    forged = bundle[:at] + hidden + bundle[at : end + 16] + (listed + len(hidden)).to_bytes(4, "little") + bundle[-2:]
    assert unpacked(forged) == unpacked(bundle)

    with pytest.raises(ProofError, match="bytes beside its files"):
        check_report(forged, TRUST)


def without_checkpoint(files: dict[str, bytes], change: Callable[[Any], None]) -> bytes:
    """A bundle signed by the log's key that no checkpoint joins to the log."""
    said = json.loads(files["report.json"])
    change(said)
    predicate = {"counts": said["counts"], "period": said["period"], "isNotice": said["no_reliance"] is not None}
    files = {**files, "report.json": json.dumps(said).encode()}
    return format_report_bundle(files, {**predicate, "logSize": None}, SIGNER)


def test_a_report_of_no_log_passes_nothing(files: dict[str, bytes]) -> None:
    def unsealed(said: Any) -> None:
        for day in said["days"]:
            day["segments"] = []

    def empty(said: Any) -> None:
        unsealed(said)
        said["counts"] = {**dict.fromkeys(said["counts"], 0), "NOT_EVIDENCED": 75}

    with pytest.raises(ProofError, match="has no checkpoint, though it is no notice"):
        check_report(without_checkpoint(files, unsealed), TRUST)
    assert check_report(without_checkpoint(files, empty), TRUST).head is None


def test_a_statement_says_what_the_report_says(files: dict[str, bytes]) -> None:
    said = json.loads(files["report.json"])
    said["counts"] = {**said["counts"], "PASS": 74, "FAIL": 1}

    with pytest.raises(ProofError, match="differ in counts"):
        check_report(
            bundle_report(complete_facts(), {**files, "report.json": json.dumps(said).encode()}, SIGNER), TRUST
        )


def test_an_old_key_signs_no_report_beside_its_own_handover(rotated: LakeForTests) -> None:
    old, new = load_signers(rotated.places, None)
    report = {"period": {"first": "2026-03-05", "last": "2026-03-05"}, "counts": {"NOT_EVIDENCED": 75}, "days": []}
    said = {"counts": report["counts"], "period": report["period"], "isNotice": False, "logSize": None}
    handover = rotated.lake.log.get("keys/1") or b""
    files = {"report.json": json.dumps({**report, "no_reliance": None}).encode(), "keys/1": handover}

    with pytest.raises(ProofError, match="no signature by a key you trust"):
        check_report(format_report_bundle(files, said, old), Trust((old.verifier,)))
    assert check_report(format_report_bundle(files, said, new), Trust((old.verifier,))).head is None


@pytest.fixture
def rotated(lake: LakeForTests) -> LakeForTests:
    lake.run()
    lake.rotate()
    return lake


def test_a_key_that_is_not_trusted_signs_nothing(files: dict[str, bytes]) -> None:
    with pytest.raises(ProofError, match="no signature by a key you trust"):
        check_report(bundle_report(complete_facts(), files, OTHER), TRUST)


def test_a_signer_cannot_say_roots_that_the_log_does_not_have(files: dict[str, bytes]) -> None:
    """Even who has the key: the report's roots are compared with the proofs, and these with the checkpoint."""
    facts = complete_facts()
    said = json.loads(files["report.json"])
    said["days"][3]["segments"][-1]["root"] = "00" * 32
    lying = {**files, "report.json": json.dumps(said).encode()}

    with pytest.raises(ProofError, match="of another seal than the report says"):
        check_report(bundle_report(facts, lying, SIGNER), TRUST)
    with pytest.raises(ProofError, match="no proof of it is here"):
        check_report(bundle_report(replace(facts, proofs=facts.proofs[1:]), files, SIGNER), TRUST)
    with pytest.raises(ProofError, match="of another checkpoint"):
        check_report(bundle_report(replace(facts, log_size=7), files, SIGNER), TRUST)


def test_the_five_steps_of_the_page_work(bundle: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the installation, which test_wheel.py does."""
    monkeypatch.chdir(tmp_path)
    Path("report.zip").write_bytes(bundle)
    Path("trust").write_text(f"log {tlog.format_vkey(SIGNER.verifier)}\n")

    assert main(["report.zip", "--trust", "trust"]) == 0
    with zipfile.ZipFile("report.zip") as archive:
        archive.extractall("out")
    day = "out/proofs/2026-10-31"
    assert main([f"{day}.tlog-proof", "--entry", f"{day}.seal", "--trust", "trust"]) == 0
    page = Path("out/report.html").read_text()
    assert f"python -m audit_pipeline.check {day}.tlog-proof --entry {day}.seal --trust trust" in page
    assert main(["report.zip", "--trust", "trust", "--json"]) == 0


def test_the_command_tells_what_holds_and_what_does_not(
    bundle: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trust").write_text(f"log {tlog.format_vkey(SIGNER.verifier)}\n")
    (tmp_path / "a.zip").write_bytes(bundle)
    (tmp_path / "b.zip").write_bytes(packed({**unpacked(bundle), "report.html": b"x"}))
    trust = ["--trust", str(tmp_path / "trust")]

    assert main([str(tmp_path / "a.zip"), *trust]) == 0
    assert "75 PASS" in capsys.readouterr().out
    assert main([str(tmp_path / "b.zip"), *trust]) == 1
    assert "not the file that was signed" in capsys.readouterr().err


def held(size: int, root: bytes) -> Trust:
    """Trust of somebody who holds a checkpoint that the log's key really signed."""
    return Trust((SIGNER.verifier,), held=tlog.sign_checkpoint(tlog.Checkpoint(ORIGIN, size, root), SIGNER))


def root_of(size: int) -> bytes:
    return tlog.tree_root(complete_facts().leaves[: 32 * size])


@pytest.mark.parametrize("size", [1, 2, 7, len(DAYS) - 1, len(DAYS)])
def test_an_earlier_checkpoint_of_the_same_log_is_joined_to_the_bundles(bundle: bytes, size: int) -> None:
    head = check_report(bundle, held(size, root_of(size))).head

    assert head is not None
    assert EXTENDS_HELD in head.levels
    assert head.notes == ()


def test_a_log_that_was_rewritten_since_is_found_by_who_holds_an_earlier_checkpoint(bundle: bytes) -> None:
    with pytest.raises(ProofError):
        check_report(bundle, held(7, bytes(32)))


def test_leaves_that_do_not_give_the_signed_root_are_refused_and_a_bundle_without_them_joins_nothing() -> None:
    facts = complete_facts()
    wrong = replace(facts, leaves=facts.leaves[:-1] + b"\0")
    files = {**render(facts, []), **evidence_files(facts)}
    del files["leaves"]
    said = {"origin": ORIGIN, "logSize": facts.log_size, "logRoot": facts.log_root, "isNotice": False}
    report = json.loads(files["report.json"])
    said |= {"counts": report["counts"], "period": report["period"]}

    with pytest.raises(ProofError, match="leaf hashes do not give the root"):
        check_report(bundle_report(wrong, render(facts, []), SIGNER), held(7, root_of(7)))
    head = check_report(format_report_bundle(files, said, SIGNER), held(7, root_of(7))).head

    assert head is not None
    assert EXTENDS_HELD not in head.levels
    assert "no consistency proof from yours" in head.notes[0]
