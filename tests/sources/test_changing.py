"""Files that change, vanish or are none: bytes seen are kept, records are there once, and all holds."""

import gzip
import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_pipeline.errors import InputError
from audit_pipeline.lake.projection import complete_sources, newest_states
from audit_pipeline.sources.landing import list_landing
from audit_pipeline.sources.snapshots import Taken
from audit_pipeline.sources.taking import take
from audit_pipeline.sources.zones import open_zone
from tests.lakes import RUNS, TODAY, LakeForTests
from tests.sources.growing import CONTAINERS, as_array, entries, growths, kept, lines, step, values


def test_a_truncated_source_is_a_new_generation_and_its_earlier_bytes_stay(lake: LakeForTests) -> None:
    lake.land("a.jsonl", lines(1, 2))
    step(lake)

    lake.land("a.jsonl", lines(1))
    step(lake)

    assert (values(lake, 0), values(lake, 1)) == ([b'{"n":1}', b'{"n":2}'], [b'{"n":1}'])


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", *CONTAINERS])
def test_a_renamed_source_is_a_new_one_and_a_deleted_one_stays_as_it_was(lake: LakeForTests, name: str) -> None:
    content = CONTAINERS[name](2) if name in CONTAINERS else gzip.compress(lines(1)) if "gz" in name else lines(1)
    path = lake.land(name, content)
    step(lake)
    records = lake.records()

    path = path.rename(path.with_name("b" + name))
    step(lake)
    path.unlink()
    step(lake)

    assert sorted(lake.records()) == sorted(records + records)
    assert growths(lake) == ["new", "new"]


def test_a_source_that_was_deleted_and_is_back_grown_is_appended_to(lake: LakeForTests) -> None:
    path = lake.land("a.jsonl", lines(1))
    step(lake)
    path.unlink()
    step(lake)

    lake.land("a.jsonl", lines(1, 2))
    step(lake)

    assert values(lake) == [b'{"n":1}', b'{"n":2}']


def during_first_draw(lake: LakeForTests, change: Callable[[], object]) -> None:
    """Have `change` happen once, when the next run draws its first salt: after the landing zone was listed."""
    entropy, waiting = lake.entropy, [change]

    def draw(count: int) -> bytes:
        if waiting:
            waiting.pop()()
        return entropy(count)

    lake.entropy = draw


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


def as_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket has 107 bytes at most
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def as_folder(path: Path) -> None:
    path.mkdir()


def as_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("put", [as_pipe, as_socket, as_folder, as_device])
def test_a_file_swapped_for_something_else_is_named_and_the_others_are_taken(
    lake: LakeForTests, put: Callable[[Path], None]
) -> None:
    lake.land("a.jsonl", lines(1))
    path = lake.land("b.jsonl", lines(2))
    lake.land("c.jsonl", lines(3))
    during_first_draw(lake, lambda: (path.unlink(), put(path)))

    with pytest.raises(InputError, match=r"b\.jsonl: expected the file that was listed, got .*; put the file back"):
        lake.ingest()

    step(lake)
    assert sorted(values(lake)) == [b'{"n":1}', b'{"n":3}']


def test_a_file_replaced_since_it_was_listed_is_taken_as_it_is_now(lake: LakeForTests) -> None:
    lake.land("a.jsonl", lines(1))
    lake.land("b.json", as_array(2))
    during_first_draw(lake, lambda: lake.land("b.json", as_array(5)))

    step(lake)
    step(lake)

    assert sorted(values(lake)) == sorted([b'{"n":1}', *(b'{"n":%d}' % n for n in range(5))])
    assert len(entries(lake)) == 2


def test_a_file_that_vanished_since_it_was_listed_stops_nothing(lake: LakeForTests) -> None:
    lake.land("a.jsonl", lines(1))
    path = lake.land("b.jsonl", lines(2))
    lake.land("c.jsonl", lines(3))
    during_first_draw(lake, path.unlink)

    step(lake)

    assert sorted(values(lake)) == [b'{"n":1}', b'{"n":3}']


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "grown"])
def test_a_container_that_grows_while_it_is_kept_is_as_large_as_what_was_kept(lake: LakeForTests, is_new: bool) -> None:
    """Else it would count as changed for ever."""
    if not is_new:
        lake.land("a.json", as_array(2))
        step(lake)
    lake.land("a.json", as_array(4))
    during_first_draw(lake, lambda: lake.land("a.json", as_array(6)))

    lake.run()
    step(lake)
    step(lake)

    assert values(lake) == [b'{"n":%d}' % n for n in range(6)]
    assert "rewritten" not in growths(lake)


def test_what_was_compared_is_what_is_kept(lake: LakeForTests) -> None:
    """A rewrite between the two would pass for growth."""
    lake.land("a.json", as_array(2))
    step(lake)
    lake.land("a.json", as_array(4))
    during_first_draw(lake, lambda: lake.land("a.json", b"[7,\n8,9,10,11]"))

    lake.run()
    step(lake)

    assert growths(lake) == ["new", "extended", "rewritten"]
    assert values(lake, 0) == [b'{"n":%d}' % n for n in range(4)]
    assert values(lake, 1) == [b"7", b"8", b"9", b"10", b"11"]


KINDS: dict[str, tuple[bytes, bytes]] = {
    "a.jsonl": (lines(1, 2), lines(1, 3)),
    "a.jsonl.gz": (gzip.compress(lines(1, 2), 0, mtime=0), gzip.compress(lines(1, 3), 0, mtime=0)),
    "a.json": (b"[1,\n2]", b"[1,\n3]"),
    "a.png": (b"\x89PNG\0a", b"\x89PNG\0b"),
    "a.safetensors": (b"abc", b"abd"),
}


def would_take(lake: LakeForTests, *, rehash: bool) -> list[Taken]:
    (landed,) = list_landing(lake.places.landing, RUNS, TODAY)
    (state,) = newest_states(complete_sources(lake.lake), "runs").values()
    zone, evidence = open_zone(lake.places.landing), lake.lake.evidence
    return list(take(zone, evidence, RUNS, landed, TODAY, state, lake.entropy, rehash=rehash))


@pytest.mark.parametrize(("name", "before", "after"), [(name, *contents) for name, contents in KINDS.items()])
def test_a_rewrite_of_the_same_size_and_time_is_found_when_all_bytes_are_compared(
    lake: LakeForTests, name: str, before: bytes, after: bytes
) -> None:
    path = lake.land(name, before)
    os.utime(path, (5, 5))
    step(lake)
    assert would_take(lake, rehash=True) == []

    assert len(before) == len(after)
    path.write_bytes(after)
    os.utime(path, (5, 5))

    assert would_take(lake, rehash=False) == []
    (taken,) = would_take(lake, rehash=True)
    assert (taken.snapshot.growth, taken.snapshot.generation) == ("rewritten", 1)


def test_a_comparison_of_all_bytes_also_finds_what_was_added_unseen(lake: LakeForTests) -> None:
    path = lake.land("a.json", b"[1,\n2]   ")
    os.utime(path, (5, 5))
    step(lake)

    path.write_bytes(b"[1,\n2,3] ")
    os.utime(path, (5, 5))

    (taken,) = would_take(lake, rehash=True)
    assert (taken.snapshot.growth, taken.count) == ("extended", 1)


_opened: list[str] = []
_is_listening = [False]


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if _is_listening[0] and event == "open":
        _opened.append(str(arguments[0]))


def test_an_unchanged_file_is_not_opened(lake: LakeForTests) -> None:
    for name, content in (("a.jsonl", lines(1)), ("b.json", as_array(1)), ("c.jsonl.gz", gzip.compress(lines(1)))):
        lake.land(name, content)
    step(lake)
    sys.addaudithook(_listen)  # stays for the life of the process, so it listens only here
    lake.land("d.jsonl", lines(2))

    _is_listening[0] = True
    lake.ingest()
    _is_listening[0] = False

    landing = str(lake.places.landing)
    assert {Path(path).name for path in _opened if path.startswith(landing)} == {"d.jsonl"}


# Any history


CHANGES = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 4), st.sampled_from(["", '{"n"'])),
    st.tuples(st.just("rewrite"), st.integers(0, 3), st.just("")),
    st.tuples(st.just("truncate"), st.integers(0, 40), st.just("")),
    st.tuples(st.just("ingest"), st.just(0), st.just("")),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CHANGES, min_size=2, max_size=8))
def test_whatever_happens_to_sources_all_bytes_of_each_run_are_found_again(
    changes: list[tuple[str, int, str]],
) -> None:
    with tempfile.TemporaryDirectory() as root:
        lake = LakeForTests(Path(root))
        history = History()
        for change in [*changes, ("ingest", 0, "")]:
            history.apply(*change)
            for name, content in history.files().items():
                path = lake.land(name, content)
                os.utime(path, ns=(history.moment, history.moment))
            if change[0] == "ingest":
                step(lake)
                history.remember()

        for name, seen in history.seen.items():
            assert seen <= recoverable(lake, f"{TODAY}/{name}")


class History:
    """A log that is written to, rewritten and cut: as lines, as compressed lines, and inside a JSON document."""

    def __init__(self) -> None:
        self.text = ""
        self.next = 0
        self.moment = 10**9
        self.seen: dict[str, set[bytes]] = {}

    def apply(self, what: str, amount: int, tail: str) -> None:
        self.moment += 1
        if what == "append":
            self.text += self._new(amount) + tail
        elif what == "rewrite":
            self.text = self._new(amount)
        elif what == "truncate":
            self.text = self.text[: -amount or None]

    def _new(self, amount: int) -> str:
        self.next += amount
        return "".join(f'{{"n":{n}}}\n' for n in range(self.next - amount, self.next))

    def files(self) -> dict[str, bytes]:
        log = [{"line": line} for line in self.text.split("\n")[:-1]]
        return {
            "a.jsonl": self.text.encode(),
            "b.jsonl.gz": gzip.compress(self.text.encode(), mtime=0),
            "c.json": json.dumps({"global_step": len(self.text), "log_history": log}, indent=1).encode(),
        }

    def remember(self) -> None:
        for name, content in self.files().items():
            self.seen.setdefault(name, set()).add(content)


def recoverable(lake: LakeForTests, name: str) -> set[bytes]:
    """Every content that records or evidence objects give back for a landed file, one for each snapshot of it."""
    rows = [
        (row, content) for row, content in zip(lake.rows("sources"), kept(lake), strict=True) if row["path"] == name
    ]
    found = set()
    for row, content in rows:
        if content is None:
            keys = ("source_id", "generation", "snapshot")
            source, generation, snapshot = (row[key] for key in keys)
            # A line that was taken again has the same position in a later snapshot, which counts.
            line_at = {
                record["position"]: record
                for record in lake.rows("records")
                if (record["source_id"], record["generation"]) == (source, generation)
                and record["snapshot"] <= snapshot  # type: ignore[operator]
            }
            ordered = [line_at[position] for position in sorted(line_at)]  # type: ignore[type-var]
            content = b"".join(bytes(record["record"]) + b"\n" for record in ordered)  # type: ignore[arg-type]
            if ordered and ordered[-1]["status"] == "partial_tail":
                content = content[:-1]
        found.add(content)
    return found
