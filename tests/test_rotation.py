"""A log changes its key, or ends, by an entry of its own; verifiers follow from the key they were given."""

import dataclasses
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from audit_pipeline import rotation, tlog
from audit_pipeline.check import check_bundle, check_day
from audit_pipeline.errors import InputError, ProofError, StorageError
from audit_pipeline.lake.declared import SEALS
from audit_pipeline.lake.keys import key_files, make_next_key
from audit_pipeline.lake.logbook import draft_name, handover_name, published_keys, read_handovers, read_log
from audit_pipeline.lake.marks import newest_mark
from audit_pipeline.lake.objects import Folder
from audit_pipeline.lake.opened import open_lake
from audit_pipeline.lookup import RecordName
from audit_pipeline.prove import prove_day, prove_records
from audit_pipeline.publishing import publish
from audit_pipeline.signers import load_signers
from audit_pipeline.tlog.trust import Trust
from audit_pipeline.verify import verify
from audit_pipeline.verify.apart import verify_apart
from tests.faults import FAULTS, Fault, WatchedLake, fault_at, unexpected
from tests.lakes import TODAY, LakeForTests

DAY = TODAY - timedelta(days=1)
SHOWN = ("self-consistent", "extends-own-mark", "signed")


@pytest.fixture
def sealed(lake: LakeForTests) -> LakeForTests:
    lake.land("a.jsonl", b'{"a":1}\n', DAY)
    lake.run(DAY)
    return lake


@pytest.fixture
def rotated(sealed: LakeForTests) -> LakeForTests:
    """Two keys, of which only the second is still there, and a day sealed with it."""
    (sealed.old,) = load_signers(sealed.places, None)  # type: ignore[attr-defined]
    sealed.rotate()
    retire(sealed)
    sealed.land("b.jsonl", b'{"b":1}\n')
    sealed.run()
    return sealed


def retire(lake: LakeForTests) -> None:
    """Take the oldest key away, which ends the overlap."""
    key_files(lake.places.keys)[0].unlink()


def believing(lake: LakeForTests, number: int, held: bytes | None = None) -> Trust:
    """Somebody who was given the log's key `number`, from 0."""
    return Trust((published_keys(lake.lake).keys[number],), held=held)


def checkpoint(lake: LakeForTests) -> bytes:
    note = lake.lake.log.get("checkpoint")
    assert note is not None
    return note


def signed_by(lake: LakeForTests) -> list[tlog.Verifier]:
    opened = tlog.open_note(checkpoint(lake), published_keys(lake.lake).keys)
    assert opened.unknown == 0
    return [signature.verifier for signature in opened.signatures]


def test_while_keys_overlap_both_sign_and_who_knows_the_old_one_alone_can_read_the_checkpoint(
    sealed: LakeForTests,
) -> None:
    turn = sealed.rotate()
    old, new = published_keys(sealed.lake).keys

    assert (turn.kind, turn.handover) == ("key", (tlog.format_vkey(old), tlog.format_vkey(new)))
    assert signed_by(sealed) == [new, old]
    head, _ = tlog.open_checkpoint(checkpoint(sealed), [old])
    assert head.size == 2
    sealed.run()
    assert signed_by(sealed) == [new, old]


def test_when_the_old_key_is_taken_away_the_new_one_signs_alone(rotated: LakeForTests) -> None:
    assert signed_by(rotated) == [published_keys(rotated.lake).keys[1]]


def test_a_verifier_follows_from_any_key_of_the_log(rotated: LakeForTests) -> None:
    for number in (0, 1):
        assert rotated.verify(trust=believing(rotated, number)).levels == SHOWN
    assert rotated.verify().levels == SHOWN[:2]
    assert verify_apart(rotated.lake, trust=believing(rotated, 0)).levels == SHOWN


def test_a_verifier_follows_over_several_rotations(rotated: LakeForTests) -> None:
    rotated.rotate()
    rotated.rotate()
    retire(rotated)
    rotated.run()

    found = rotated.verify(trust=believing(rotated, 0))

    assert (found.problems, found.levels) == ((), SHOWN)
    assert len(published_keys(rotated.lake).keys) == 4
    assert len(signed_by(rotated)) == 2


def test_an_auditor_without_the_folder_of_keys_follows_too(rotated: LakeForTests) -> None:
    trust = believing(rotated, 1)
    shutil.move(rotated.places.keys, rotated.root / "elsewhere")
    places = dataclasses.replace(rotated.places, marks=rotated.root / "nowhere")
    shutil.rmtree(rotated.root / "elsewhere")

    found = verify(open_lake(places, tlog.format_vkey(trust.logs[0])), trust=trust)

    assert (found.problems, found.levels) == ((), ("self-consistent", "signed"))


def test_a_key_of_another_log_is_not_believed(rotated: LakeForTests, tmp_path: Path) -> None:
    other = LakeForTests(tmp_path / "other")

    found = rotated.verify(trust=Trust((tlog.parse_vkey(other.lake.vkey),)))

    assert any("none of its keys" in problem.message for problem in found.problems)


def test_a_checkpoint_held_from_before_the_rotation_is_extended(sealed: LakeForTests) -> None:
    held = checkpoint(sealed)
    sealed.rotate()
    retire(sealed)
    sealed.run()

    assert sealed.verify(trust=believing(sealed, 0, held)).levels == (*SHOWN, "extends-held")


def test_bundles_and_day_proofs_are_checked_offline_from_the_old_key(rotated: LakeForTests) -> None:
    (row,) = [row for row in rotated.rows("records") if row["record"] == b'{"b":1}']
    names = [RecordName(*(row[name] for name in ("source_id", "generation", "snapshot", "position")))]  # type: ignore[arg-type]
    bundle, (proof, entry) = prove_records(rotated.lake, names), prove_day(rotated.lake, TODAY)
    handovers = read_handovers(rotated.lake)

    for number in (0, 1):
        trust = believing(rotated, number)
        assert check_bundle(bundle, trust).records[0].record == b'{"b":1}'
        assert check_day(proof, entry, trust, handovers).seal.day == TODAY
    with pytest.raises(ProofError, match="give the vkey of its signer"):
        check_day(proof, entry, believing(rotated, 0))


def test_the_proof_of_a_day_is_of_its_last_seal_not_of_a_turn(sealed: LakeForTests) -> None:
    sealed.run()
    sealed.rotate()

    proof, entry = prove_day(sealed.lake, TODAY)

    assert tlog.parse_seal(entry).kind == "seal"
    assert check_day(proof, entry, believing(sealed, 0)).index == 1


def test_a_day_with_a_rotation_and_nothing_else_is_still_sealed(sealed: LakeForTests) -> None:
    sealed.rotate()

    report = sealed.run()

    assert (report.is_new, report.segment, report.size) == (True, 2, 0)
    assert not sealed.run().is_new
    assert sealed.verify().problems == ()


def test_a_missing_key_in_force_is_named_before_anything_is_signed(rotated: LakeForTests) -> None:
    key_files(rotated.places.keys)[0].rename(rotated.root / "key-2.pem")
    rotated.land("c.jsonl", b"{}\n")
    rotated.ingest()
    before = checkpoint(rotated)

    with pytest.raises(InputError, match=r"key\.pem"):
        rotated.seal()
    shutil.copy(rotated.root / "key-2.pem", rotated.places.keys / "key-2.pem")
    assert checkpoint(rotated) == before
    rotated.run()
    assert rotated.verify().problems == ()


def test_an_old_key_alone_cannot_sign_on(sealed: LakeForTests) -> None:
    sealed.rotate()
    key_files(sealed.places.keys)[1].unlink()

    with pytest.raises(InputError, match="key in force"):
        sealed.seal()


def test_an_inventory_that_the_old_key_signs_after_the_rotation_is_found(rotated: LakeForTests) -> None:
    """By somebody who stole it: without a checkpoint of the new key's they can still list other files."""
    numbers = [int(path.name) for path in (rotated.places.evidence / "_inventory").iterdir()]
    path = rotated.places.evidence / f"_inventory/{max(numbers)}"
    keys = published_keys(rotated.lake)
    newest = tlog.open_inventory(path.read_bytes(), keys.keys)
    path.write_bytes(tlog.sign_inventory(newest, rotated.old))  # type: ignore[attr-defined]
    places = dataclasses.replace(rotated.places, marks=rotated.root / "nowhere")

    found = verify(open_lake(places))

    assert [problem.table for problem in found.problems] == ["inventory"]


def test_a_lost_handover_is_made_again_while_both_keys_are_there(sealed: LakeForTests) -> None:
    sealed.rotate()
    path = sealed.places.log / handover_name(1)
    before = path.read_bytes()
    path.unlink()
    assert any("keys/1: missing" in problem.message for problem in sealed.verify().problems)

    (sealed.places.evidence / "_inventory/2").unlink()  # signed with a key that nothing leads to now
    (sealed.places.marks / "4").unlink()
    sealed.seal()

    assert path.read_bytes() == before


def test_keys_that_the_profile_names_are_rotated_to_in_turn(sealed: LakeForTests) -> None:
    first = key_files(sealed.places.keys)[0]
    (sealed.root / "vault").mkdir()
    second = make_next_key(sealed.root / "vault", sealed.lake.origin, 2, sealed.entropy, None)
    sealed.places = dataclasses.replace(sealed.places, signing_keys=(f"file:{first}",))
    with pytest.raises(InputError, match="0 keys that the log does not have yet"):
        sealed.rotate()

    sealed.places = dataclasses.replace(sealed.places, signing_keys=(f"file:{first}", f"file:{second}"))
    sealed.run()
    assert len(signed_by(sealed)) == 1, "a key that the log does not have yet signs nothing"
    sealed.rotate()

    assert len(signed_by(sealed)) == 2
    assert sealed.verify(trust=believing(sealed, 0)).problems == ()


def test_nothing_is_appended_after_a_freeze(sealed: LakeForTests) -> None:
    turn = sealed.freeze()
    sealed.land("b.jsonl", b"{}\n")

    assert turn.kind == "freeze"
    for forbidden in (sealed.ingest, sealed.seal, sealed.rotate, sealed.freeze):
        with pytest.raises(InputError, match="was frozen at"):
            forbidden()
    found = sealed.verify(trust=believing(sealed, 0))
    assert (found.problems, found.levels, found.log_size) == ((), SHOWN, 2)
    assert any("was frozen" in note for note in found.notes)


def test_a_log_is_frozen_after_a_rotation_by_its_new_key(rotated: LakeForTests) -> None:
    rotated.freeze()

    assert rotated.verify(trust=believing(rotated, 0)).problems == ()


def test_before_the_first_seal_there_is_nothing_to_hand_over_or_end(lake: LakeForTests) -> None:
    for refused in (lake.rotate, lake.freeze):
        with pytest.raises(InputError, match="nothing is sealed yet"):
            refused()


@pytest.mark.parametrize("kind", ["key", "freeze"])
def test_a_run_does_not_append_a_turn_that_somebody_planted(sealed: LakeForTests, kind: str, tmp_path: Path) -> None:
    """Who can write the store, and has no key, must not end the log or hand it to a key of theirs."""
    sealed.seal()
    copy = WatchedLake(sealed.root).copy(tmp_path / "theirs")
    getattr(copy, {"key": "rotate", "freeze": "freeze"}[kind])()
    name = draft_name(TODAY, 2)
    planted = copy.lake.evidence.get(name)
    assert planted is not None
    sealed.lake.evidence.put_new(name, planted)

    with pytest.raises(ProofError, match=f"a {kind} entry that was begun"):
        sealed.seal()
    for path in copy.files():
        if path.startswith("lake/audit/seals") and not (sealed.root / path).exists():
            shutil.copy(copy.root / path, sealed.root / path)
    assert read_log(sealed.lake.open(SEALS))[-1].kind == kind
    with pytest.raises(ProofError, match=f"a {kind} entry that was begun"):
        sealed.seal(DAY)
    assert tlog.open_checkpoint(checkpoint(sealed), [tlog.parse_vkey(sealed.lake.vkey)])[0].size == 2


def test_a_rotation_is_not_led_astray_by_a_draft_that_somebody_planted(sealed: LakeForTests, tmp_path: Path) -> None:
    copy = WatchedLake(sealed.root).copy(tmp_path / "theirs")
    copy.rotate()
    planted = copy.lake.evidence.get(draft_name(TODAY, 1))
    assert planted is not None
    sealed.lake.evidence.put_new(draft_name(TODAY, 1), planted)

    with pytest.raises(InputError, match="is in the way"):
        sealed.rotate()


@pytest.mark.parametrize(("turn", "kind"), [("rotate", "key"), ("freeze", "freeze")])
def test_a_turn_that_was_cut_off_before_midnight_is_finished_after_it(
    sealed: LakeForTests, monkeypatch: pytest.MonkeyPatch, turn: str, kind: str
) -> None:
    def cut_off(*_: object) -> None:
        raise StorageError("the fault")

    with monkeypatch.context() as patched:
        patched.setattr(rotation, "append_draft", cut_off)
        with pytest.raises(StorageError, match="the fault"):
            getattr(sealed, turn)()
    sealed.now += timedelta(days=1)

    getattr(sealed, turn)()

    assert [(seal.kind, seal.day) for seal in read_log(sealed.lake.open(SEALS))] == [("seal", DAY), (kind, TODAY)]
    assert sealed.verify().problems == ()


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("turn", "kind"), [("rotate", "key"), ("freeze", "freeze")])
def test_a_turn_that_was_cut_off_at_any_write_is_finished_by_its_command(
    sealed: LakeForTests, tmp_path: Path, turn: str, kind: str, fault: Fault
) -> None:
    with fault_at(0) as written:
        getattr(WatchedLake(sealed.root).copy(tmp_path / "whole"), turn)()
    assert len(written) >= 6

    for number in range(1, len(written) + 1):
        lake = WatchedLake(sealed.root).copy(tmp_path / f"{number}")
        with fault_at(number, fault), pytest.raises(StorageError):
            getattr(lake, turn)()
        assert unexpected(lake) == [], written[number - 1]

        if is_marked(lake):  # the turn is made; any run, and here an inventory, does what is left
            publish_again(lake)
        else:
            getattr(lake, turn)()

        assert lake.verify().problems == (), written[number - 1]
        assert [seal.kind for seal in read_log(lake.lake.open(SEALS))] == ["seal", kind]


def is_marked(lake: LakeForTests) -> bool:
    _, mark = newest_mark(Folder(lake.places.marks))
    return mark is not None and mark.size == 2


def publish_again(lake: LakeForTests) -> None:
    publish(lake.lake, load_signers(lake.places, None), lambda: lake.now)
    lake.take_inventory()
