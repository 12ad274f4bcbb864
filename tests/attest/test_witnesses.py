"""Checkpoints go to witnesses, and their cosignatures are kept with the checkpoint."""

import dataclasses
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from audit_pipeline import tlog
from audit_pipeline.attest import Attesters, check_witnesses
from audit_pipeline.errors import ProofError, StorageError
from audit_pipeline.tlog.trust import Trust, format_trust, parse_trust
from tests.attest.servers import Witness, serving
from tests.lakes import TODAY, LakeForTests

DAYS = [TODAY - timedelta(days=back) for back in (3, 2, 1, 0)]


@pytest.fixture
def witness(lake: LakeForTests) -> Witness:
    return Witness("witness.example/w1", tlog.parse_vkey(lake.lake.vkey), int(lake.now.timestamp()))


@pytest.fixture
def url(witness: Witness) -> Iterator[str]:
    with serving(witness.answer) as url:
        yield url


def lines(witness: Witness, url: str, quorum: str = "none") -> str:
    return f"witness w1 {witness.vkey} {url}\nquorum {quorum}\n"


def trust(lake: LakeForTests, witness: Witness) -> Trust:
    return parse_trust(f"log {lake.lake.vkey}\n{lines(witness, 'https://elsewhere.example', 'w1')}".encode())


def test_each_checkpoint_is_cosigned_and_a_witness_asked_once_for_it(
    lake: LakeForTests, witness: Witness, url: str
) -> None:
    lake.attesters = Attesters(lines(witness, url))
    for day in DAYS:
        assert lake.run(day).warnings == ()
    lake.run(DAYS[-1])

    assert witness.requests == [200] * len(DAYS), "it is told what it saw last, so it need not say so"
    found = lake.verify(trust=trust(lake, witness))
    assert (found.problems, "witnessed" in found.levels) == ((), True)


def test_a_witness_that_was_not_reached_catches_up(lake: LakeForTests, witness: Witness) -> None:
    with serving(witness.answer) as url:
        lake.attesters = Attesters(lines(witness, url))
        lake.run(DAYS[0])
    for day in DAYS[1:3]:
        (warning,) = lake.run(day).warnings
        assert warning.startswith(f"witness w1: {url}/add-checkpoint: does not answer")
    assert "witnessed" not in lake.verify(trust=trust(lake, witness)).levels

    with serving(witness.answer) as url:
        lake.attesters = Attesters(lines(witness, url))
        assert lake.run(DAYS[2]).warnings == (), "a run with nothing new asks for what is missing"

    assert witness.requests == [200, 409, 200], "it says which size it has seen"
    assert "witnessed" in lake.verify(trust=trust(lake, witness)).levels


def test_a_required_quorum_that_is_not_reached_publishes_nothing(lake: LakeForTests, witness: Witness) -> None:
    lake.attesters = Attesters(lines(witness, "http://127.0.0.1:9", "w1"))

    with pytest.raises(StorageError, match="quorum w1 of the profile did not cosign"):
        lake.seal()

    assert not lake.lake.log.exists("checkpoint")
    with serving(witness.answer) as url:
        lake.attesters = Attesters(lines(witness, url, "w1"))
        lake.run()
    assert lake.verify(trust=trust(lake, witness)).problems == ()


def test_a_witness_that_saw_more_than_there_is_stops_the_run(lake: LakeForTests, witness: Witness, url: str) -> None:
    """The lake, its log and its marks, all of a backup: only somebody else can tell."""
    lake.attesters = Attesters(lines(witness, url))
    lake.run(DAYS[0])
    witness.seen = tlog.Checkpoint(lake.lake.origin, 5, b"r" * 32)

    with pytest.raises(ProofError, match=r"has cosigned .* at size 5, here it has 2"):
        lake.run(DAYS[1])


def test_a_witness_that_saw_another_log_of_this_size_refuses(lake: LakeForTests, witness: Witness, url: str) -> None:
    lake.attesters = Attesters(lines(witness, url))
    witness.seen = tlog.Checkpoint(lake.lake.origin, 1, b"r" * 32)

    (warning,) = lake.run(DAYS[0]).warnings

    assert "answered 422" in warning


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, "text/plain", b""), "is not one cosignature"),
        ((200, "text/plain", "— other.example AAAAAAAAAAAA\n".encode()), "is not one cosignature"),
        ((403, "text/plain", b"who\nare you"), r"answered 403 'who\\nare you'"),
        ((302, "text/plain", b"http://127.0.0.1:9/"), "answered 302"),
        ((409, "text/x.tlog.size", b"many\n"), "expected a decimal"),
        ((200, "text/plain", b"x" * (2 << 20)), "more than"),
    ],
)
def test_an_answer_that_is_no_cosignature_is_a_warning(
    lake: LakeForTests, witness: Witness, answer: tuple[int, str, bytes], said: str
) -> None:
    with serving(lambda path, body: answer) as url:
        lake.attesters = Attesters(lines(witness, url))
        report = lake.run()

    (warning,) = report.warnings
    assert re.search(said, warning), warning
    assert lake.verify().problems == ()


def test_a_cosignature_of_another_checkpoint_is_not_kept(lake: LakeForTests, witness: Witness) -> None:
    other = tlog.Checkpoint(lake.lake.origin, 1, b"r" * 32)
    stale = tlog.cosign_text(tlog.format_checkpoint(other), witness.signer, witness.now_s)
    with serving(lambda path, body: (200, "text/plain", stale)) as url:
        lake.attesters = Attesters(lines(witness, url))
        (warning,) = lake.run().warnings

    assert "does not hold" in warning
    assert b"witness.example" not in (lake.lake.log.get("checkpoint") or b"")


def test_a_cosignature_that_says_another_time_is_not_kept(lake: LakeForTests, witness: Witness, url: str) -> None:
    witness.now_s += 3600
    lake.attesters = Attesters(lines(witness, url))

    (warning,) = lake.run().warnings

    assert "3600 s from ours" in warning


def test_a_stale_cosignature_put_on_a_newer_checkpoint_does_not_hold(
    lake: LakeForTests, witness: Witness, url: str
) -> None:
    lake.attesters = Attesters(lines(witness, url))
    lake.run(DAYS[0])
    before = lake.lake.log.get("checkpoint") or b""
    cosignature = before.splitlines(keepends=True)[-1]
    lake.attesters = Attesters()
    lake.run(DAYS[1])
    path = lake.places.log / "checkpoint"
    path.write_bytes(path.read_bytes() + cosignature)

    found = lake.verify(trust=trust(lake, witness))

    assert any("does not hold" in problem.message for problem in found.problems)
    lake.run(DAYS[1])
    assert cosignature not in path.read_bytes(), "the next run publishes without it"


def test_witnesses_go_on_after_a_rotation(lake: LakeForTests, witness: Witness, url: str) -> None:
    lake.attesters = Attesters(lines(witness, url))
    lake.run(DAYS[0])
    lake.rotate()

    lake.run(DAYS[1])

    assert witness.requests == [200, 200, 200], "while both keys sign, it can go by the old one"
    found = lake.verify(trust=trust(lake, witness))
    assert (found.problems, "witnessed" in found.levels) == ((), True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("log x", "expected lines witness"),
        ("witness w1 {vkey}\nquorum none", "expected its URL"),
        ("witness w1 {vkey} https://w.example", "witnesses without a quorum"),
        ("quorum w2", "no witness or group"),
    ],
)
def test_wrong_lines_of_a_profile_are_refused(witness: Witness, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_witnesses(text.format(vkey=witness.vkey))
    check_witnesses("")
    check_witnesses(lines(witness, "https://w.example"))


def test_trust_files_keep_what_they_say_of_witnesses(lake: LakeForTests, witness: Witness) -> None:
    said = trust(lake, witness)

    assert parse_trust(format_trust(said)) == said
    assert dataclasses.replace(said, urls={}) != said
