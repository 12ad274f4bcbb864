"""Checkpoints are stamped by an RFC 3161 authority, here `openssl ts`, and verifiers check by whom and of what."""

import dataclasses
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from audit_pipeline import tlog
from audit_pipeline.attest import Attesters
from audit_pipeline.attest.stamps import check_stamp
from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog.trust import Trust, format_trust, parse_trust
from tests.attest.servers import Authority, serving
from tests.lakes import TODAY, LakeForTests

pytestmark = pytest.mark.needs("openssl", "openssl")
DAY = TODAY - timedelta(days=1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "tsa")


@pytest.fixture
def url(authority: Authority) -> Iterator[str]:
    authority.requests = 0
    with serving(authority.answer) as url:
        yield url


@pytest.fixture
def stamped(lake: LakeForTests, url: str) -> LakeForTests:
    lake.attesters = Attesters(authority=url)
    lake.land("a.jsonl", b'{"a":1}\n', DAY)
    assert lake.run(DAY).warnings == ()
    return lake


def trust(lake: LakeForTests, *roots: bytes) -> Trust:
    named = {f"tsa{number}": root for number, root in enumerate(roots)}
    return Trust((tlog.parse_vkey(lake.lake.vkey),), timestampers=named)


def stored(lake: LakeForTests, name: str) -> Path:
    return lake.places.log / "stamps" / name


def test_each_checkpoint_is_stamped_once_and_openssl_agrees(stamped: LakeForTests, authority: Authority) -> None:
    stamped.run()
    stamped.run()

    assert authority.requests == 2
    found = stamped.verify(trust=trust(stamped, authority.root))
    assert (found.problems, "timestamped" in found.levels) == ((), True)
    assert any("was stamped at 20" in note for note in found.notes)
    for size in ("1", "2"):
        assert "Verification: OK" in authority.verify(stored(stamped, size), stored(stamped, f"{size}.tsr"))


def test_a_stamped_note_is_the_checkpoint_with_the_signature_of_the_key_in_force(
    stamped: LakeForTests, authority: Authority
) -> None:
    stamped.rotate()
    note = stored(stamped, "2").read_bytes()

    (signature,) = tlog.open_note(
        note, tlog.keys_of(tlog.parse_vkey(stamped.lake.vkey), log_of(stamped)).keys
    ).signatures
    assert tlog.format_vkey(signature.verifier) == (log_of(stamped)[-1].handover or "")[1]
    assert "timestamped" in stamped.verify(trust=trust(stamped, authority.root)).levels


def log_of(lake: LakeForTests) -> list[tlog.SealEntry]:
    from audit_pipeline.lake.declared import SEALS
    from audit_pipeline.lake.logbook import read_log

    return read_log(lake.lake.open(SEALS))


def test_an_authority_that_does_not_answer_stops_nothing_and_is_asked_again(
    lake: LakeForTests, authority: Authority, url: str
) -> None:
    lake.attesters = Attesters(authority="http://127.0.0.1:9")
    (warning,) = lake.run().warnings
    assert "no timestamp: http://127.0.0.1:9: does not answer" in warning
    found = lake.verify(trust=trust(lake, authority.root))
    assert (found.problems, "timestamped" in found.levels) == ((), False)
    assert any("has no timestamp yet" in note for note in found.notes)

    lake.attesters = Attesters(authority=url)
    assert lake.run().warnings == ()

    assert "timestamped" in lake.verify(trust=trust(lake, authority.root)).levels


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((500, "text/plain", b""), "answered 500"),
        ((200, "application/timestamp-reply", b"garbage"), "not a timestamp response"),
    ],
)
def test_an_answer_that_is_no_timestamp_is_a_warning(
    lake: LakeForTests, answer: tuple[int, str, bytes], said: str
) -> None:
    with serving(lambda path, body: answer) as url:
        lake.attesters = Attesters(authority=url)
        (warning,) = lake.run().warnings

    assert said in warning
    assert not stored(lake, "1").exists()


def test_a_timestamp_of_another_request_is_not_kept(lake: LakeForTests, authority: Authority) -> None:
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    request = TimestampRequestBuilder().data(b"other").hash_algorithm(HashAlgorithm.SHA256).build()
    other = authority.stamp(request.as_bytes())
    with serving(lambda path, body: (200, "application/timestamp-reply", other)) as url:
        lake.attesters = Attesters(authority=url)
        (warning,) = lake.run().warnings

    assert "the timestamp is of another note" in warning


def test_a_timestamp_by_somebody_else_does_not_count(
    stamped: LakeForTests, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other")

    found = stamped.verify(trust=trust(stamped, other.root))

    assert any("by nobody that you trust to stamp" in problem.message for problem in found.problems)
    assert "timestamped" in stamped.verify(trust=trust(stamped, other.root, authority.root)).levels


@pytest.mark.parametrize("place", ["of another size", "a flipped bit", "another note", "another key's note"])
def test_a_forged_timestamp_is_found(stamped: LakeForTests, authority: Authority, place: str) -> None:
    stamped.run()
    note, response = stored(stamped, "2"), stored(stamped, "2.tsr")
    if place == "of another size":
        response.write_bytes(stored(stamped, "1.tsr").read_bytes())
    elif place == "a flipped bit":
        response.write_bytes(response.read_bytes()[:-1] + bytes([response.read_bytes()[-1] ^ 1]))
    elif place == "another note":
        note.write_bytes(stored(stamped, "1").read_bytes())
        response.write_bytes(stored(stamped, "1.tsr").read_bytes())
    else:
        note.write_bytes(note.read_bytes().replace(b" ", b"  ", 1))

    found = stamped.verify(trust=trust(stamped, authority.root))

    assert any(problem.table == "log" and "/stamps/2" in problem.message for problem in found.problems), found.problems
    assert found.levels == ()


def test_without_a_timestamper_the_stamps_are_named_and_not_believed(stamped: LakeForTests) -> None:
    for found in (stamped.verify(), stamped.verify(trust=trust(stamped))):
        assert found.problems == ()
        assert "timestamped" not in found.levels
        assert any("no `timestamper`" in note for note in found.notes)


def test_a_timestamp_that_was_taken_away_is_a_level_less(stamped: LakeForTests, authority: Authority) -> None:
    stored(stamped, "1.tsr").unlink()

    found = stamped.verify(trust=trust(stamped, authority.root))

    assert (found.problems, "timestamped" in found.levels) == ((), False)


def test_trust_files_say_who_may_stamp(lake: LakeForTests, authority: Authority) -> None:
    said = dataclasses.replace(trust(lake, authority.root), quorum=None)

    assert parse_trust(format_trust(said)) == said
    twice = format_trust(said).replace(b"quorum", b"timestamper tsa0 AAAA\nquorum")
    with pytest.raises(InputError, match="is there twice"):
        parse_trust(twice)


def test_a_missing_library_is_named_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)

    with pytest.raises(InputError, match=r"rlhf-audit-pipeline\[timestamp\]"):
        check_stamp(b"", b"", [])


def test_what_is_no_certificate_is_refused(authority: Authority, stamped: LakeForTests) -> None:
    note, answer = stored(stamped, "1").read_bytes(), stored(stamped, "1.tsr").read_bytes()

    with pytest.raises(InputError, match="not a certificate"):
        check_stamp(note, answer, [b"x"])
    with pytest.raises(ProofError, match="of another note"):
        check_stamp(note + b"x", answer, [authority.root])


@pytest.mark.parametrize("name", ["99", "99.tsr", "2.tsr"])
def test_a_stamp_of_no_checkpoint_of_the_log_is_found(stamped: LakeForTests, name: str) -> None:
    stored(stamped, name).write_bytes(b"x")

    (problem,) = stamped.verify().problems
    assert f"log/stamps/{name}: nothing of ours put this file there" in problem.message
