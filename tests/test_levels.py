"""What a verification shows depends on what you bring: a key, a checkpoint you hold, witnesses."""

import dataclasses
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_pipeline import tlog
from audit_pipeline.tlog.trust import Group, Trust
from tests.lakes import TODAY, LakeForTests

DAY = TODAY - timedelta(days=1)
OWN = ("self-consistent", "extends-own-mark")


@pytest.fixture
def sealed(lake: LakeForTests) -> LakeForTests:
    lake.land("a.jsonl", b'{"a":1}\n', DAY)
    lake.run(DAY)
    return lake


def trust(lake: LakeForTests) -> Trust:
    return Trust((tlog.parse_vkey(lake.lake.vkey),))


def holding(lake: LakeForTests) -> Trust:
    return dataclasses.replace(trust(lake), held=lake.lake.log.get("checkpoint"))


def rewritten(lake: LakeForTests, folder: Path) -> LakeForTests:
    """The same key, other records: a whole history that the key holder made anew, marks and all."""
    shutil.copytree(lake.places.keys, folder / "keys", ignore=shutil.ignore_patterns("marks"))
    other = LakeForTests(folder)
    other.land("a.jsonl", b'{"a":2}\n', DAY)
    other.run(DAY)
    return other


def test_a_checkpoint_you_hold_adds_a_level_while_the_log_extends_it(sealed: LakeForTests) -> None:
    held = holding(sealed)
    assert sealed.verify(trust=held).levels == (*OWN, "signed", "extends-held")

    sealed.run()

    found = sealed.verify(trust=held)
    assert found.log_size == 2
    assert found.levels == (*OWN, "signed", "extends-held")


def test_a_history_rewritten_with_the_key_is_found_by_a_checkpoint_you_hold(
    sealed: LakeForTests, tmp_path: Path
) -> None:
    other = rewritten(sealed, tmp_path / "other")

    assert other.verify(trust=trust(sealed)).levels == (*OWN, "signed"), "without it nothing tells: the stated limit"
    found = other.verify(trust=holding(sealed))
    assert found.levels == ()
    assert any("the checkpoint you hold says root" in problem.message for problem in found.problems)


def test_a_log_that_is_shorter_than_what_you_hold_does_not_hold(sealed: LakeForTests, tmp_path: Path) -> None:
    shutil.copytree(sealed.root, tmp_path / "older", ignore=shutil.ignore_patterns("older"))
    sealed.run()

    found = LakeForTests(tmp_path / "older").verify(trust=holding(sealed))

    assert any("you hold one of size 2" in problem.message for problem in found.problems)


def witness(name: str, seed: int) -> tlog.Signer:
    return tlog.Signer(name, tlog.ED25519_COSIGNATURE, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


@pytest.mark.parametrize("cosigned", [0, 1, 2])
def test_witnesses_count_when_the_quorum_cosigned(sealed: LakeForTests, cosigned: int) -> None:
    witnesses = [witness("one.example", 1), witness("two.example", 2)]
    path = sealed.places.log / "checkpoint"
    text = path.read_bytes().split(b"\n\n")[0].decode() + "\n"
    lines = [tlog.cosign_text(text, one, 1_772_000_000) for one in witnesses[:cosigned]]
    path.write_bytes(path.read_bytes() + b"".join(lines))
    asked = dataclasses.replace(
        trust(sealed),
        witnesses={f"w{n}": one.verifier for n, one in enumerate(witnesses)},
        groups={"both": Group(2, ("w0", "w1"))},
        quorum="both",
    )

    found = sealed.verify(trust=asked)

    assert ("witnessed" in found.levels) == (cosigned == 2)
    assert bool(found.problems) == (cosigned < 2)


def test_a_mark_that_is_gone_is_a_level_less(sealed: LakeForTests) -> None:
    shutil.rmtree(sealed.places.marks)

    found = sealed.verify()

    assert found.problems == ()
    assert found.levels == ("self-consistent",)
    assert any("no mark" in note for note in found.notes)


def test_inventories_cut_short_are_found_by_the_mark(sealed: LakeForTests) -> None:
    (sealed.places.evidence / "_inventory/1").unlink()

    assert any("the mark names" in problem.message for problem in sealed.verify().problems)


def test_an_inventory_by_another_key_is_found(sealed: LakeForTests) -> None:
    path = sealed.places.evidence / "_inventory/1"
    inventory = tlog.open_inventory(path.read_bytes(), trust(sealed).logs)
    name = sealed.lake.origin
    forger = tlog.Signer(name, tlog.ED25519, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    path.write_bytes(tlog.sign_inventory(dataclasses.replace(inventory, files=inventory.files[1:]), forger))

    assert any(problem.table == "inventory" for problem in sealed.verify().problems)


def test_files_that_came_since_the_inventory_are_told(sealed: LakeForTests) -> None:
    sealed.land("b.jsonl", b'{"b":1}\n')
    sealed.ingest()
    sealed.seal()

    found = sealed.verify()

    assert found.problems == ()
    assert any("in no inventory yet" in note for note in found.notes)
    sealed.take_inventory()
    assert not any("in no inventory yet" in note for note in sealed.verify().notes)


def test_a_range_of_days_reads_these_days_files_alone(sealed: LakeForTests) -> None:
    sealed.land("c.json", b'{"c":[{"d":1}]}')
    sealed.run()
    everything = sealed.verify()
    one_day = sealed.verify(first=TODAY, last=TODAY)

    assert one_day.files < everything.files
    assert (one_day.records, everything.records) == (2, 3)
    (sealed.places.lake / f"restricted/records/runs/{DAY}/1.parquet").write_bytes(b"gone")
    assert sealed.verify(first=TODAY, last=TODAY).problems == ()
    assert sealed.verify(first=DAY, last=DAY).problems
