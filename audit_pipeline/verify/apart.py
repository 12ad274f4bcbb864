"""Verification in a process of its own: a forged file that ends its reader's process is found, not followed.

Parquet and Delta readers are C++ and Rust: hostile bytes can make them abort the whole process, where no exception is
left to catch. The child says on its standard output, a JSON object a line, which file it is about to read, each problem
as it is found, and at the end the whole verification.
"""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, BinaryIO

from audit_pipeline.errors import UnreachableError
from audit_pipeline.lake import decoding
from audit_pipeline.lake.opened import Lake, open_lake
from audit_pipeline.lake.places import from_plain, to_plain
from audit_pipeline.records.pseudonyms import PersonKeys
from audit_pipeline.tlog.trust import Trust, format_trust, parse_trust
from audit_pipeline.verify import Problem, Verification, verify

_SHOWN = 2  # files that are read at once


def verify_apart(
    lake: Lake,
    *,
    first: date | None = None,
    last: date | None = None,
    trust: Trust | None = None,
    people: PersonKeys | None = None,
    with_copies: bool = False,
) -> Verification:
    """What `verify` gives; where its process ends instead, that is a problem, beside those found before.

    `with_copies`: of small objects in buckets that stay as they are, what this machine has read before is taken; that
    the buckets still have it is then not shown.

    Raises:
        UnreachableError: a store cannot be asked, and no problem was found before.
    """
    places = lake.places if with_copies else lake.places.without_copies()
    request = {
        "places": to_plain(places),
        "vkey": lake.vkey,
        "first": first and first.isoformat(),
        "last": last and last.isoformat(),
        "trust": None if trust is None else format_trust(trust).decode("utf-8", "surrogateescape"),
        "people": people and [people.pseudonyms.hex(), people.bounding.hex()],
    }
    command = [sys.executable, "-P", "-m", "audit_pipeline.verify.apart"]  # -P: no code from the working folder
    # Our own interpreter, with nothing from outside on the command line.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:  # noqa: S603
        output, errors = child.communicate(json.dumps(request).encode())
    problems, reading = list[Problem](), list[str]()
    for line in output.splitlines():
        said = _read(line)
        if "verification" in said and child.returncode == 0:
            return _verification(said["verification"])
        if "unreachable" in said:
            if not problems:
                raise UnreachableError(said["unreachable"])
            # What was found stands, whoever made the rest unreadable.
            return _cut_short(problems, said["unreachable"])
        if "problem" in said:
            problems.append(Problem(**said["problem"]))
        reading = [*reading, str(said.get("reading"))][-_SHOWN:] if "reading" in said else reading
    how = f"signal {-child.returncode}" if child.returncode < 0 else f"exit code {child.returncode}"
    why = " ".join(errors.decode(errors="replace").split())[-200:]
    message = f"reading {' or '.join(reading) or 'the lake'} ended the process ({how}): damaged or forged; {why}"
    problems.append(Problem("-", "-", "-", "-", message))
    return _cut_short(problems, "")


def _cut_short(problems: Sequence[Problem], why: str) -> Verification:
    note = f"the verification did not come to its end{': ' if why else ''}{why}"
    return Verification((), (note,), tuple(problems), 0, 0, 0, 0, 0, 0, 0)


def _read(line: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        return {}  # cut off as the process ended
    return said if isinstance(said, dict) else {}


def _verification(said: Mapping[str, Any]) -> Verification:
    problems = tuple(Problem(**problem) for problem in said["problems"])
    return Verification(
        **{**said, "levels": tuple(said["levels"]), "notes": tuple(said["notes"]), "problems": problems}
    )


def serve(request: bytes, output: BinaryIO) -> None:
    """The child's side."""
    asked = json.loads(request)

    def say(**said: Any) -> None:
        output.write(json.dumps(said).encode() + b"\n")
        output.flush()

    decoding.listener = lambda what: say(reading=str(what))
    try:
        found = _verify(asked, lambda problem: say(problem=dataclasses.asdict(problem)))
    except UnreachableError as err:
        say(unreachable=str(err))
        return
    say(verification=dataclasses.asdict(found))


def _verify(asked: Mapping[str, Any], tell: Callable[[Problem], None]) -> Verification:
    return verify(
        open_lake(from_plain(asked["places"]), asked["vkey"]),
        first=date.fromisoformat(asked["first"]) if asked["first"] else None,
        last=date.fromisoformat(asked["last"]) if asked["last"] else None,
        trust=None if asked["trust"] is None else parse_trust(asked["trust"].encode("utf-8", "surrogateescape")),
        people=PersonKeys(*map(bytes.fromhex, asked["people"])) if asked["people"] else None,
        tell=tell,
    )


if __name__ == "__main__":
    serve(sys.stdin.buffer.read(), sys.stdout.buffer)
