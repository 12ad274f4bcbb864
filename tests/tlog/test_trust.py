"""Trust files: what C2SP tlog-policy allows, what it forbids, and the checkpoint that one may hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_pipeline.errors import InputError
from audit_pipeline.tlog import ED25519_COSIGNATURE, cosign_text, format_checkpoint, format_vkey, open_note
from audit_pipeline.tlog import sign_checkpoint as sign
from audit_pipeline.tlog.trust import Group, Trust, format_trust, parse_trust, quorum_holds

from .support import ORIGIN, checkpoint, signer, witness

LOG = f"log {format_vkey(signer().verifier)}"
OTHER = f"log {format_vkey(signer('log.example/other').verifier)}"
NAMES = [f"w{number}" for number in range(6)]
WITNESSES = {name: witness(f"witness.example/{name}") for name in NAMES}
LINES = {name: f"witness {name} {format_vkey(key.verifier)}" for name, key in WITNESSES.items()}
HELD = sign(checkpoint(7), signer())


def trust(*lines: str, held: bytes = b"") -> Trust:
    return parse_trust("".join(f"{line}\n" for line in lines).encode() + held)


def cosigned(*names: str) -> bytes:
    text = format_checkpoint(checkpoint(7))
    return HELD + b"".join(cosign_text(text, WITNESSES[name], 1_767_139_200) for name in names)


def holds(of: Trust, *names: str) -> bool:
    return quorum_holds(of, open_note(cosigned(*names), of.verifiers))


def test_the_lines_of_the_specification_are_read() -> None:
    found = trust(
        "# ours",
        "",
        f"{LOG} https://log.example/",
        f"\t {OTHER}\t",
        *(LINES[name] for name in NAMES),
        "group x 2 w0 w1 w2",
        "group y any w3 w4",
        "group  z\tall x y w5",
        "quorum z",
        " # the end",
    )

    assert [log.name for log in found.logs] == [ORIGIN, "log.example/other"]
    assert found.witnesses == {name: key.verifier for name, key in WITNESSES.items()}
    assert found.groups == {
        "x": Group(2, ("w0", "w1", "w2")),
        "y": Group(1, ("w3", "w4")),
        "z": Group(3, ("x", "y", "w5")),
    }
    assert (found.quorum, found.held) == ("z", None)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), False),
        (("w0", "w1", "w3", "w5"), True),
        (("w0", "w2", "w4", "w5"), True),
        (("w0", "w1", "w2", "w3", "w4"), False),
        (("w0", "w3", "w4", "w5"), False),
        (tuple(NAMES), True),
    ],
)
def test_a_quorum_holds_where_enough_members_of_its_groups_cosigned(names: tuple[str, ...], expected: bool) -> None:
    of = trust(
        LOG,
        *LINES.values(),
        "group x 2 w0 w1 w2",
        "group y any w3 w4",
        "group z all x y w5",
        "quorum z",
    )

    assert holds(of, *names) is expected


def test_a_quorum_may_be_one_witness() -> None:
    of = trust(LOG, LINES["w0"], LINES["w1"], "quorum w1")

    assert not holds(of, "w0")
    assert holds(of, "w1")


def test_one_witness_that_signs_twice_counts_once() -> None:
    of = trust(LOG, LINES["w0"], LINES["w1"], "group g 2 w0 w1", "quorum g")

    assert not holds(of, "w0", "w0")


@pytest.mark.parametrize("lines", [[], ["quorum none"]])
def test_without_a_quorum_nobody_need_have_cosigned_and_nothing_is_said_of_it(lines: list[str]) -> None:
    of = trust(LOG, *lines)

    assert of.quorum is None
    assert not holds(of, "w0")


def test_a_file_may_hold_a_checkpoint_to_its_end() -> None:
    for note in (HELD, cosigned("w0")):
        assert trust(LOG, "# held since January", "", held=note).held == note


def test_a_held_checkpoint_is_of_any_log_of_the_file() -> None:
    assert trust(OTHER, LOG, held=HELD).held == HELD


UNNAMED = LINES["w0"].removeprefix("witness w0 ")
WRONG = {
    "an unknown word": ([LOG, "logs x"], 2),
    "a word with nothing after it": ([LOG, "quorum"], 2),
    "no words in the checkpoint": ([LOG, "log.example/2c7d"], 2),
    "a log without a key": (["log x"], 1),
    "a log with two URLs": ([f"{LOG} a b"], 1),
    "a log by a cosigning key": ([f"log {UNNAMED}"], 1),
    "a log twice": ([LOG, LOG], 2),
    "a log twice, under another name": ([LOG, f"log {format_vkey(signer('log.example/b', seed=ORIGIN).verifier)}"], 2),
    "a witness by a log's key": ([LOG, LOG.replace("log", "witness w", 1), "quorum none"], 2),
    "a witness without a key": ([LOG, "witness w0", "quorum none"], 2),
    "a witness twice": ([LOG, LINES["w0"], LINES["w0"]], 3),
    "a key under two names": ([LOG, LINES["w0"], f"witness other {UNNAMED}"], 3),
    "a name for two witnesses": ([LOG, LINES["w0"], LINES["w1"].replace("w1", "w0", 1)], 3),
    "a witness called none": ([LOG, f"witness none {UNNAMED}"], 2),
    "a group called none": ([LOG, LINES["w0"], "group none 1 w0"], 3),
    "a group called like a witness": ([LOG, LINES["w0"], "group w0 1 w0"], 3),
    "a group without members": ([LOG, LINES["w0"], "group g 1"], 3),
    "a group of nobody known": ([LOG, LINES["w0"], "group g 1 w1"], 3),
    "a group of itself": ([LOG, LINES["w0"], "group g 1 w0 g"], 3),
    "a member called none": ([LOG, LINES["w0"], "group g 1 none"], 3),
    "a member twice": ([LOG, LINES["w0"], "group g 1 w0 w0"], 3),
    "a member of two groups": ([LOG, LINES["w0"], "group g 1 w0", "group h 1 w0"], 4),
    "a threshold of none": ([LOG, LINES["w0"], "group g 0 w0"], 3),
    "a threshold above the members": ([LOG, LINES["w0"], "group g 2 w0"], 3),
    "a threshold with a zero in front": ([LOG, LINES["w0"], "group g 01 w0"], 3),
    "a threshold that is no number": ([LOG, LINES["w0"], "group g most w0"], 3),
    "a quorum of nobody known": ([LOG, LINES["w0"], "quorum w1"], 3),
    "a quorum before its group": ([LOG, LINES["w0"], "quorum g", "group g 1 w0"], 3),
    "two quorums": ([LOG, "quorum none", "quorum none"], 3),
    "two names for a quorum": ([LOG, LINES["w0"], "quorum w0 w0"], 3),
    "a carriage return": ([LOG, "quorum none\r"], 2),
    "a name with a control character": ([LOG, LINES["w0"].replace("w0", "w\x1b0", 1)], 2),
}


@pytest.mark.parametrize(("lines", "number"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_line_is_refused_by_its_number(lines: list[str], number: int) -> None:
    with pytest.raises(InputError, match=rf"^trust file, line {number}: [^\n]+$"):
        trust(*lines)


@pytest.mark.parametrize(
    "lines",
    [[], ["quorum none"], ["# nothing"], [LINES["w0"], "quorum w0"]],
    ids=["empty", "a quorum", "a comment", "witnesses"],
)
def test_a_file_without_a_log_is_refused(lines: list[str]) -> None:
    with pytest.raises(InputError, match="no line `log <vkey>`"):
        trust(*lines)


def test_witnesses_without_a_quorum_are_refused() -> None:
    """Else somebody who forgot the line would believe that they were asked."""
    with pytest.raises(InputError, match="quorum"):
        trust(LOG, LINES["w0"])


def test_a_held_checkpoint_that_is_not_of_a_log_of_the_file_is_refused() -> None:
    forged = HELD.replace(b"\n7\n", b"\n8\n")

    for note in (forged, HELD + b"\n", HELD[:-1], sign(checkpoint(7, "log.example/x"), signer("log.example/x"))):
        with pytest.raises(InputError, match="line 2"):
            trust(LOG, held=note)


def test_names_are_bytes_whatever_their_encoding() -> None:
    """A Kelvin sign is no K, and bytes that are not UTF-8 are a name like others."""
    line = LINES["w0"].encode()
    text = b"\n".join([LOG.encode(), line.replace(b"w0", b"\xe2\x84\xaa", 1), LINES["w1"].encode(), b"quorum K\n"])
    with pytest.raises(InputError, match="line 4"):
        parse_trust(text)

    found = parse_trust(b"\n".join([LOG.encode(), line.replace(b"w0", b"\xff", 1), b"quorum \xff\n"]))

    assert parse_trust(format_trust(found)) == found
    assert b"quorum \xff\n" in format_trust(found)


@given(st.data())
def test_what_is_formatted_reads_back_the_same(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    members = data.draw(st.lists(st.sampled_from(names), unique=True, min_size=1))
    threshold = data.draw(st.integers(1, len(members)))
    of = Trust(
        logs=(signer().verifier,),
        witnesses={name: WITNESSES[name].verifier for name in names},
        groups={"g": Group(threshold, tuple(members))},
        quorum=data.draw(st.sampled_from([None, "g", *names])),
        held=data.draw(st.sampled_from([None, HELD])),
    )

    assert parse_trust(format_trust(of)) == of


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_a_trust_that_reads_back_or_an_input_error_of_one_line(text: bytes, after_a_log: bool) -> None:
    said = ""

    try:
        found = parse_trust(LOG.encode() + b"\n" + text if after_a_log else text)
    except InputError as err:
        said = str(err)
    else:
        assert parse_trust(format_trust(found)) == found

    assert "\n" not in said


def test_a_long_chain_of_groups_is_no_deep_call() -> None:
    lines = [f"group g{number} 1 {f'g{number - 1}' if number else 'w0'}" for number in range(5000)]

    of = trust(LOG, LINES["w0"], *lines, "quorum g4999")

    assert holds(of, "w0")
    assert WITNESSES["w0"].signature_type == ED25519_COSIGNATURE
