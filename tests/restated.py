"""The whole state of a lake, worked out again from its files with hashlib, json, pyarrow and cryptography alone.

`check_state` holds in any state, also half-way after a crash; `check_whole` where a run came to its end. Neither uses
our own code: what they say is what docs/evidence-format.md says.
"""

import base64
import csv
import gzip
import hashlib
import io
import json
import re
import sqlite3
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.lakes import POLICY_DIGEST, LakeForTests
from tests.tlog.reference import Reference, sha256

Landed = Mapping[str, Sequence[bytes]]
"""What ever lay in the landing zone, by path below the stream's folder: each source's versions, oldest first."""

_EVENTS = tuple(
    "runs annotations generations reward_scores training_metrics policy_updates model_checkpoints log_findings".split()
)
_COLUMNS = "day source_id generation snapshot position record salt status reason".split()
_OBJECT_HEAD = (0x184D2A50).to_bytes(4, "little") + (32).to_bytes(4, "little")
_UNFINISHED = re.compile(r"log/\.checkpoint\.[0-9a-f]{8}\.tmp")  # where the process was killed in `Folder.replace`


@dataclass(frozen=True, slots=True)
class _Commit:
    app: str
    number: int
    files: tuple[str, ...]
    info: dict[str, Any]
    gone: tuple[str, ...]
    """Files whose rows are the table's no more."""


@dataclass(frozen=True, slots=True)
class _Table:
    folder: Path
    commits: list[_Commit]
    """Of versions 1, 2, …; empty where there is no table yet."""
    has_creation: bool

    def done(self, app: str) -> int:
        return max((commit.number for commit in self.commits if commit.app == app), default=0)

    def files(self) -> Iterator[str]:
        """Everything that the table's own commits account for, below its folder."""
        for version in range(len(self.commits) + self.has_creation):
            yield f"_delta_log/{version:020}.json"
            if version and version % max(10, 10 ** (len(str(version)) - 2)) == 0:
                yield f"_delta_log/{version:020}.checkpoint.parquet"
                yield "_delta_log/_last_checkpoint"
        for commit in self.commits:
            yield from commit.files


@dataclass(frozen=True, slots=True)
class _Snapshot:
    version: int
    """The commit of `records` that made it true."""
    file: str
    time: str
    said: dict[str, Any]
    entry: dict[str, str]
    rows: list[dict[str, Any]]

    @property
    def name(self) -> tuple[str, int, int]:
        return self.entry["source"], int(self.entry["generation"]), int(self.entry["snapshot"])


def check_state(lake: LakeForTests, landed: Landed) -> None:
    """Everything that is stored follows from what landed, and nothing is there twice, half or for no reason.

    Raises:
        AssertionError: something does not. What cannot be decoded raises what its library raises.
    """
    _State(lake, landed).check()


def check_whole(lake: LakeForTests, landed: Landed, *, may_leave_objects: bool = False) -> None:
    """Besides, all that is in the landing zone now was taken in, derived, sealed, published and listed.

    `may_leave_objects`: a source may have changed after a run that had kept it and died before it had its records.
    """
    state = _State(lake, landed)
    state.check()
    version = len(state.records.commits)
    assert state.sources.done("sources") == version
    assert {table.done("derive") for table in state.events.values()} == {version}
    assert state.sealed == {snapshot.said["entry"] for snapshot in state.snapshots}, "entries that no seal covers"
    (newest,) = state.marks[-1:]
    checkpoint_size = int((lake.places.log / "checkpoint").read_text().split("\n")[1])
    assert int(newest["size"]) == len(state.log) == checkpoint_size
    assert newest["inventory"] == state.inventories[-1], "the newest mark names the newest inventory"
    waiting = [path for path in state.waiting if not (may_leave_objects and path.endswith(".zst"))]
    assert not waiting, f"nothing of a run that came to its end waits for another: {waiting}"
    assert not state.unlisted, f"in no inventory: {state.unlisted}"
    for path in sorted(p for p in (lake.places.landing / "runs").rglob("*") if p.is_file()):
        name = path.relative_to(lake.places.landing / "runs").as_posix()
        assert state.taken.get(name) == path.read_bytes(), f"{name}: not taken in as it is now"


class _State:
    """What was found, and is filled in by one check after the other."""

    def __init__(self, lake: LakeForTests, landed: Landed) -> None:
        self.lake, self.landed = lake, landed
        self.name, _, encoded = (lake.places.keys / "vkey").read_text().strip().split("+", 2)
        self.lake_id = self.name.rpartition("/")[2]
        self.key = base64.b64decode(encoded)
        self.key_id = sha256(self.name.encode() + b"\n" + self.key)[:4]
        restricted = lake.places.lake / "restricted"
        self.records, self.sources = (_read_table(restricted / name) for name in ("records", "sources"))
        self.events = {name: _read_table(restricted / name) for name in _EVENTS}
        self.seals = _read_table(lake.places.lake / "audit" / "seals")
        self.snapshots: list[_Snapshot] = []
        self.objects: dict[str, str] = {}
        """Source of each evidence object that a data file names."""
        self.taken: dict[str, bytes] = {}
        """The newest bytes that each source's records and objects give back, by path."""
        self.log: list[str] = []
        self.sealed: set[str] = set()
        self.marks: list[dict[str, str]] = []
        self.inventories: list[str] = []
        self.waiting: list[str] = []
        """Files that no commit names yet and the next run takes up."""
        self.unlisted: list[str] = []

    def check(self) -> None:
        self._check_records()
        self._check_names_follow()
        self._check_sources()
        self._check_events()
        self._check_bytes()
        self._check_log()
        self._check_marks()
        self._check_published()
        self._check_nothing_else()
        self._check_inventories()

    # records, sources, events

    def _check_records(self) -> None:
        """Every committed entry has exactly its rows, and every row is an entry's."""
        for version, commit in enumerate(self.records.commits, 1):
            kind, stream, day = commit.app.split("/")
            assert kind == "ingest"
            assert commit.files == (f"{stream}/{day}/{commit.number}.parquet",)
            found = self._read_batch(version, commit.files[0])
            assert commit.info["audit.entries"] == [snapshot.said["entry"] for snapshot in found]
            self.snapshots += found
        for before, commit in _pairs_of_app(self.records.commits):
            assert commit.number == before + 1
        names = Counter(snapshot.name for snapshot in self.snapshots)
        assert not [name for name, count in names.items() if count > 1], "an entry is committed twice"

    def _read_batch(self, version: int, name: str) -> list[_Snapshot]:
        path = self.records.folder / name
        footer = json.loads(pq.read_metadata(path).metadata[b"audit.batch"])
        assert f"{footer['stream']}/{footer['day']}/{footer['batch']}.parquet" == name
        rows = pq.read_table(path, columns=_COLUMNS, partitioning=None).to_pylist()
        snapshots, at = [], 0
        for said in footer["snapshots"]:
            entry = _fields(said["entry"], "audit-source/v1")
            count = int(entry["records"])
            assert (entry["stream"], entry["lake"]) == (footer["stream"], self.lake_id)
            assert footer["day"] == entry["day"]
            assert entry["source"] == sha256(f"{entry['stream']}\n{said['path']}".encode()).hex()
            snapshots.append(_Snapshot(version, name, footer["time"], said, entry, rows[at : at + count]))
            _check_rows(snapshots[-1])
            at += count
            for column in ("object", "line_object"):
                if said[column]:
                    self.objects[said[column]] = said["path"]
        assert at == len(rows), f"{name}: rows of no entry"
        return snapshots

    def _check_names_follow(self) -> None:
        """Generations, snapshots, positions and bytes of a source go on where the one before ended."""
        for of_source in self._by_source().values():
            last: _Snapshot | None = None
            for snapshot in of_source:
                entry, (_, generation, number) = snapshot.entry, snapshot.name
                begins = (generation, number) == (0, 0) if last is None else (generation, number) == _next(last, entry)
                assert begins, f"{snapshot.name} after {last and last.name}"
                if number == 0:
                    assert entry["growth"] == ("rewritten" if generation else "new")
                    assert (entry["position"], entry["supersedes"]) == ("0", "-")
                elif last is not None:
                    assert int(entry["position"]) == last.said["resume_position"]
                last = snapshot

    def _by_source(self) -> dict[str, list[_Snapshot]]:
        found: dict[str, list[_Snapshot]] = {}
        for snapshot in sorted(self.snapshots, key=lambda snapshot: snapshot.name):
            found.setdefault(snapshot.said["path"], []).append(snapshot)
        return found

    def _check_sources(self) -> None:
        """`sources` is the footers of the commits that it covers."""
        done = self.sources.done("sources")
        assert done <= len(self.records.commits)
        for before, commit in _pairs_of_app(self.sources.commits):
            covered = [f"{version}.parquet" for version in range(before + 1, commit.number + 1)]
            assert sorted(commit.files) == sorted(covered)
        for version in range(1, done + 1):
            rows = pq.read_table(self.sources.folder / f"{version}.parquet", partitioning=None).to_pylist()
            expected = [snapshot for snapshot in self.snapshots if snapshot.version == version]
            assert len(rows) == len(expected)
            for row, snapshot in zip(rows, expected, strict=True):
                entry, said = snapshot.entry, snapshot.said
                row |= {"nonce": row["nonce"].hex(), "day": str(row["day"])}
                row["ingested_at"] = row["ingested_at"].isoformat()
                more: dict[str, Any] = {
                    "data_file": snapshot.file,
                    "ingested_at": snapshot.time,
                    "source_id": entry["source"],
                }
                start, end = entry["bytes"].split()
                more |= {"start": int(start), "end": int(end)}
                more |= {name: int(entry[name]) for name in ("generation", "snapshot", "position", "records")}
                more |= {name: entry[name] for name in ("day", "stream", "container", "compression", "growth")}
                assert row == said | more

    def _check_events(self) -> None:
        """Every record has its events once, in each table that has come to its commit."""
        by_name = {snapshot.name: snapshot for snapshot in self.snapshots}
        for table, read in self.events.items():
            done = read.done("derive")
            assert done <= len(self.records.commits)
            found: Counter[tuple[Any, ...]] = Counter()
            gone = {name for commit in read.commits for name in commit.gone}
            assert not gone or "derive/again" in {commit.app for commit in read.commits}
            for before, commit in _pairs_of_app(read.commits):
                again = commit.app == "derive/again"
                covered = range(1, done + 1) if again else range(before + 1, commit.number + 1)
                for name in set(commit.files) - gone:
                    version, _, of_round = name.removesuffix(".parquet").partition("-")
                    assert of_round == (str(commit.number) if again else "")
                    assert int(version) in covered
                    for row in pq.read_table(read.folder / name, partitioning=None).to_pylist():
                        name_of_row = row["source_id"], row["generation"], row["snapshot"]
                        assert by_name[name_of_row].version == int(version), "an event of another commit's record"
                        of_record = (*name_of_row, row["position"])
                        assert row["event_id"] == "-".join(map(str, (*of_record, found[of_record])))
                        found[of_record] += 1
            expected: Counter[tuple[Any, ...]] = Counter()
            for snapshot in self.snapshots:
                if snapshot.version <= done:
                    for row in snapshot.rows:
                        expected[*snapshot.name, row["position"]] += _events_of(table, snapshot, row, by_name)
            assert found == +expected, f"{table}: other events than the records give"

    # bytes

    def _check_bytes(self) -> None:
        """Records and kept objects give back what landed, version after version, whole or up to where a run came."""
        for path, of_source in self._by_source().items():
            versions, at, content = self.landed[path], 0, b""
            for snapshot in of_source:
                if snapshot.said["object"]:
                    kept = self._object(snapshot.said["object"])
                    assert kept in versions, f"{path}: the kept object is no version that landed"
                content = self._taken(snapshot, of_source, content)
                if snapshot.said["is_complete"]:
                    later = [number for number in range(at, len(versions)) if versions[number] == content]
                    assert later, f"{path}: {snapshot.name}: not the bytes of a version that landed then"
                    at = later[0]
                else:
                    assert any(version.startswith(content) for version in versions)
            self.taken[path] = content

    def _taken(self, snapshot: _Snapshot, of_source: list[_Snapshot], before: bytes) -> bytes:
        """The source's own bytes up to the end of this snapshot, given those up to the one before."""
        entry, said, rows = snapshot.entry, snapshot.said, snapshot.rows
        start, end = map(int, entry["bytes"].split())
        nonce, kept = bytes.fromhex(said["nonce"]), said["object"] and self._object(said["object"])
        if entry["container"] == "hash_only":
            (weights,) = [v for v in self.landed[said["path"]] if _hash_only(v) == rows[0]["record"]]
            plain = weights
        elif entry["container"] in ("jsonl", "text"):
            lines = b"".join(row["record"] + b"\n" for row in rows)
            is_unfinished = rows and rows[-1]["status"] == "partial_tail"
            plain = lines[:-1] if is_unfinished else lines
            if kept is not None:
                assert _unpacked(kept, entry["compression"])[start:end] == plain
        else:
            plain = _unpacked(kept, entry["compression"])
            _check_items(snapshot, of_source, plain)
        assert end - start == len(plain)
        assert entry["content"] == hashlib.sha256(b"\x02" + nonce + plain).hexdigest()
        if kept is not None:
            return bytes(kept)
        if entry["container"] == "hash_only" or snapshot.name[2] == 0:
            assert start == 0
            return plain
        assert start <= len(before) <= end or start == len(before)
        assert plain.startswith(before[start:]), "a line that is taken again begins as it did"
        return before[:start] + plain

    def _object(self, name: str) -> bytes:
        stored = (self.lake.places.evidence / name).read_bytes()
        assert stored.startswith(_OBJECT_HEAD)
        with zstandard.ZstdDecompressor().stream_reader(stored[40:], read_across_frames=True) as stream:
            return stream.read()

    # the log

    def _check_log(self) -> None:
        """Each entry is what its draft decides, which follows from the entries and the day's seal before."""
        entries = {snapshot.said["entry"] for snapshot in self.snapshots}
        segments: dict[str, list[str]] = {}
        for index, commit in enumerate(self.seals.commits):
            assert (commit.app, commit.number, commit.files) == ("log", index + 1, (f"{index}.parquet",))
            seal = self._seal_row(index)
            fields = _fields(seal, "audit-seal/v1")
            of_day = segments.setdefault(fields["day"], [])
            assert self._check_draft(fields["day"], len(of_day) + 1, of_day, entries) == seal
            of_day.append(seal)
            self.log.append(seal)
        waiting = []
        for path in sorted((self.lake.places.evidence / "_seals").rglob("*")):
            if path.is_file() and int(path.name) > len(segments.get(path.parent.name, [])):
                of_day = segments.get(path.parent.name, [])
                waiting.append(self._check_draft(path.parent.name, len(of_day) + 1, of_day, entries))
                assert path.name == str(len(of_day) + 1)
                self.waiting.append(f"evidence/_seals/{path.parent.name}/{path.name}")
        if (self.seals.folder / f"{len(self.log)}.parquet").exists():
            assert self._seal_row(len(self.log)) in waiting

    def _seal_row(self, index: int) -> str:
        (row,) = pq.read_table(self.seals.folder / f"{index}.parquet", partitioning=None).to_pylist()
        fields = _fields(row["entry"], "audit-seal/v1")
        columns = {name: str(row[name]) for name in ("day", "kind", "segment", "sources", "records", "root")}
        assert columns.items() <= fields.items()
        assert (row["index"], row["sealed_at"].strftime("%Y-%m-%dT%H:%M:%SZ")) == (index, fields["time"])
        return str(row["entry"])

    def _check_draft(self, day: str, segment: int, before: list[str], entries: set[str]) -> str:
        """The seal entry of a draft whose own numbers hold; its source entries are sealed from here on."""
        text = (self.lake.places.evidence / f"_seals/{day}/{segment}").read_text()
        seal, _, rest = text.partition("\n\n")
        texts = [f"audit-source/v1\n{part}" for part in rest.split("audit-source/v1\n")[1:]]
        sources = [_fields(one, "audit-source/v1") for one in texts]
        order = [(one["stream"], one["source"], int(one["generation"]), int(one["snapshot"])) for one in sources]
        assert all(left < right for left, right in pairwise(order))
        assert {one["day"] for one in sources} <= {day}
        assert entries >= set(texts), "a draft names what no commit has"
        assert not self.sealed & set(texts), "sealed twice"
        self.sealed |= set(texts)
        tree = Reference([one.encode() for one in texts])
        assert (
            _fields(f"{seal}\n", "audit-seal/v1").items()
            >= {
                "kind": "seal",
                "lake": self.lake_id,
                "day": day,
                "segment": str(segment),
                "previous": sha256(b"\0" + before[-1].encode()).hex() if before else "-",
                "sources": str(len({one["source"] for one in sources})),
                "records": str(sum(int(one["records"]) for one in sources)),
                "size": str(len(texts)),
                "root": tree.root(0, len(texts)).hex(),
                "policy": POLICY_DIGEST,
            }.items()
        )
        return f"{seal}\n"

    def _check_marks(self) -> None:
        """The marks are a chain, and each is of a prefix of the log."""
        folder, tree = self.lake.places.marks, self._tree()
        numbers = sorted(int(path.name) for path in folder.iterdir()) if folder.exists() else []
        assert numbers == list(range(1, len(numbers) + 1))
        previous, size = "-", 0
        for number in numbers:
            text = (folder / str(number)).read_bytes()
            mark = _fields(text.decode(), "audit-mark/v1")
            assert (mark["origin"], mark["previous"], mark["ledger"]) == (self.name, previous, "-")
            assert size <= int(mark["size"]) <= len(self.log)
            assert mark["root"] == tree.root(0, int(mark["size"])).hex()
            previous, size = sha256(text).hex(), int(mark["size"])
            self.marks.append(mark)

    def _check_published(self) -> None:
        """Tiles hold the log's hashes, all those of each size that is marked; the checkpoint is of a marked size."""
        log, tree, marked = self.lake.places.log, self._tree(), {int(mark["size"]) for mark in self.marks}
        for path in sorted((log / "tile").rglob("*")):
            if path.is_file():
                level, first, last = _tile_range(path.relative_to(log / "tile").as_posix())
                assert last * 256**level <= len(self.log)
                hashes = [tree.root(n * 256**level, (n + 1) * 256**level) for n in range(first, last)]
                assert path.read_bytes() == b"".join(hashes)
        for size in sorted(marked):
            assert size <= 256, "more than one tile: not restated here"
            assert (log / ("tile/0/000" if size == 256 else f"tile/0/000.p/{size}")).exists()
        if (log / "checkpoint").exists():
            text = self._open_note((log / "checkpoint").read_bytes())
            origin, size_text, root, rest = text.split("\n")
            assert (origin, rest) == (self.name, "")
            assert int(size_text) in marked
            assert base64.b64decode(root) == tree.root(0, int(size_text))
        if (log / "vkey").exists():
            assert (log / "vkey").read_bytes() == (self.lake.places.keys / "vkey").read_bytes()

    def _tree(self) -> Reference:
        return Reference([seal.encode() for seal in self.log])

    def _open_note(self, note: bytes) -> str:
        text, _, signatures = note.decode().rpartition("\n\n")
        name, signature, *rest = signatures.removeprefix("— ").replace("\n", " ").split(" ")
        assert (signatures[:2], rest) == ("— ", [""])
        signed = base64.b64decode(signature)
        assert (name, signed[:4]) == (self.name, self.key_id)
        Ed25519PublicKey.from_public_bytes(self.key[1:]).verify(signed[4:], f"{text}\n".encode())
        return f"{text}\n"

    # what is stored

    def _check_inventories(self) -> None:
        """The inventories are a chain; together they list what they cover, with the bytes that are stored."""
        folder, previous = self.lake.places.evidence / "_inventory", "-"
        numbers = sorted(int(path.name) for path in folder.iterdir()) if folder.exists() else []
        assert numbers == list(range(1, len(numbers) + 1))
        listed: dict[str, str] = {}
        versions, size, stored = dict[str, int](), 0, self._stored()
        for number in numbers:
            note = (folder / str(number)).read_bytes()
            signed, _, rest = note.rpartition(b"\n\ntables ")
            head, tables, files = _inventory(self._open_note(signed + b"\n"), b"tables " + rest)
            assert (head["lake"], head["number"], head["previous"]) == (self.lake_id, str(number), previous)
            assert size <= int(head["log"]) <= len(self.log)
            assert all(versions.get(name, 0) <= version for name, version in tables.items())
            assert files or int(head["log"]) > size
            versions, size, previous = tables, int(head["log"]), sha256(note).hex()
            listed |= files
            self.inventories.append(previous)
        named = ["-", *self.inventories]
        at = [named.index(mark["inventory"]) for mark in self.marks]
        assert at == sorted(at)
        assert not self.inventories or at[-1] >= len(named) - 2, "the newest mark names an older inventory"
        assert set(listed) <= stored, f"listed, and gone: {set(listed) - stored}"
        for path, said in listed.items():
            content = (self.lake.root / path).read_bytes()
            if not path.endswith("_last_checkpoint"):
                assert said == f"{sha256(content).hex()} {len(content)}", f"{path}: not the bytes that were listed"
        covered = self._covered(versions, size) & stored
        assert set(listed) == covered, f"listed and covered differ: {set(listed) ^ covered}"
        by_themselves = {"log/checkpoint", *(f"evidence/_inventory/{number}" for number in numbers)}
        left = {path for path in stored - covered if _UNFINISHED.fullmatch(path)}
        self.unlisted = sorted(stored - covered - by_themselves - left - set(self.waiting))

    def _covered(self, versions: dict[str, int], size: int) -> set[str]:
        found = set()
        for name, table in self._tables().items():
            if name in versions:
                cut = _Table(table.folder, table.commits[: versions[name]], True)
                found |= {f"{self._below_root(table.folder)}/{file}" for file in cut.files()}
        for snapshot in self.snapshots:
            if snapshot.version <= versions.get("records", 0):
                names = (snapshot.said[column] for column in ("object", "line_object"))
                found |= {f"evidence/{name}" for name in names if name}
        drafted = [_fields(seal, "audit-seal/v1") for seal in self.log[:size]]
        found |= {f"evidence/_seals/{fields['day']}/{fields['segment']}" for fields in drafted}
        for path in self._stored():
            if path.startswith("log/tile/"):
                level, _, last = _tile_range(path.removeprefix("log/tile/"))
                found |= {path} if last * 256**level <= size else set()
        return found | {"log/vkey"} if size else found

    def _check_nothing_else(self) -> None:
        """No file that no commit names, but those that the next run takes up."""
        known = {f"evidence/_seals/{f['day']}/{f['segment']}" for f in (_fields(s, "audit-seal/v1") for s in self.log)}
        for table in self._tables().values():
            known |= {f"{self._below_root(table.folder)}/{name}" for name in table.files()}
        at = len(self.records.commits)
        follows = {f"restricted/sources/{n}.parquet" for n in range(self.sources.done("sources") + 1, at + 1)}
        follows.add(f"audit/seals/{len(self.log)}.parquet")
        for name, table in self.events.items():
            follows |= {f"restricted/{name}/{n}.parquet" for n in range(table.done("derive") + 1, at + 1)}
        for folder in {path.parent for path in self.records.folder.glob("*/*/*.parquet")}:
            batch = folder.relative_to(self.records.folder).as_posix()
            name = f"{batch}/{self.records.done(f'ingest/{batch}') + 1}.parquet"
            follows.add(f"restricted/records/{name}")
            if (folder / Path(name).name).exists():
                self._read_batch(0, name)
        self.waiting += [f"lake/{name}" for name in sorted(follows) if f"lake/{name}" in self._stored()]
        for path in sorted(self._stored() - known - set(self.waiting)):
            area, _, name = path.partition("/")
            if name in self.objects and area == "evidence":
                continue
            is_other = path.startswith(("log/tile/", "evidence/_inventory/")) or path in ("log/checkpoint", "log/vkey")
            if is_other or _UNFINISHED.fullmatch(path):
                continue
            source = name.split("/")[1] if area == "evidence" and name.count("/") == 2 else ""
            versions = [v for landed, v in self.landed.items() if sha256(f"runs\n{landed}".encode()).hex() == source]
            assert versions, f"{path}: nothing of ours put this file there"
            assert self._object(name) in versions[0], f"{path}: an object that is no version that landed"
            self.waiting.append(path)

    def _tables(self) -> dict[str, _Table]:
        return {"records": self.records, "sources": self.sources, "seals": self.seals, **self.events}

    def _below_root(self, path: Path) -> str:
        return path.relative_to(self.lake.root).as_posix()

    def _stored(self) -> set[str]:
        """Every file of lake, evidence and log."""
        places = self.lake.places
        found = (path for root in (places.lake, places.evidence, places.log) for path in root.rglob("*"))
        return {self._below_root(path) for path in found if not path.is_dir()}


def _read_table(folder: Path) -> _Table:
    names = sorted(path.name for path in (folder / "_delta_log").glob("*.json"))
    assert names == [f"{version:020}.json" for version in range(len(names))], f"{folder}: a commit is missing"
    commits = []
    for name in names[1:]:
        text = (folder / "_delta_log" / name).read_text()
        info, transaction, *others = [json.loads(line) for line in text.splitlines()]
        said = {kind: [action[kind] for action in others if kind in action] for kind in ("txn", "remove", "add")}
        assert [{kind: one} for kind, ones in said.items() for one in ones] == others, "other actions, or another order"
        assert [one["appId"].partition("/")[0] for one in said["txn"]] == ["adapter"] * len(said["txn"])
        for add in said["add"]:
            assert (folder / add["path"]).stat().st_size == add["size"]
            assert pq.read_metadata(folder / add["path"]).num_rows == json.loads(add["stats"])["numRecords"]
        files, gone = (tuple(one["path"] for one in said[kind]) for kind in ("add", "remove"))
        txn = transaction["txn"]
        commits.append(_Commit(txn["appId"], txn["version"], files, info["commitInfo"], gone))
    assert all(before < commit.number for before, commit in _pairs_of_app(commits)), f"{folder}: a commit twice"
    return _Table(folder, commits, bool(names))


def _pairs_of_app(commits: Sequence[_Commit]) -> Iterator[tuple[int, _Commit]]:
    """(number of the application's commit before, commit)."""
    newest: dict[str, int] = {}
    for commit in commits:
        yield newest.get(commit.app, 0), commit
        newest[commit.app] = commit.number


def _fields(text: str, tag: str) -> dict[str, str]:
    first, *lines, last = text.split("\n")
    assert (first, last) == (tag, "")
    return {name: value for name, _, value in (line.partition(" ") for line in lines)}


def _check_rows(snapshot: _Snapshot) -> None:
    entry, rows = snapshot.entry, snapshot.rows
    first = int(entry["position"])
    assert len(rows) == int(entry["records"])
    for position, row in enumerate(rows, first):
        assert (row["source_id"], row["generation"], row["snapshot"]) == snapshot.name
        assert (row["position"], str(row["day"]), len(row["salt"])) == (position, entry["day"], 16)
    tree = Reference([b"\x01" + row["salt"] + row["record"] for row in rows])
    assert tree.root(0, len(rows)).hex() == entry["root"], f"{snapshot.name}: the rows do not give the root"
    odd = [row for row in rows if (row["status"], row["reason"]) != ("ok", "")]
    lines = "".join(f"{row['position']} {row['status']} {row['reason'] or '-'}\n" for row in odd)
    assert hashlib.sha256(lines.encode()).hexdigest() == entry["exceptions"]


def _next(last: _Snapshot, entry: dict[str, str]) -> tuple[int, int]:
    _, generation, number = last.name
    return (generation + 1, 0) if entry["growth"] == "rewritten" else (generation, number + 1)


def _events_of(
    table: str, snapshot: _Snapshot, row: dict[str, Any], by_name: dict[tuple[str, int, int], _Snapshot]
) -> int:
    """How many events a record has in a table: of the formats of our scenarios."""
    format_name = snapshot.said["format"]
    if format_name == "verl_rollouts":
        is_readable = row["status"] == "ok" or (row["status"], row["reason"]) == ("partial_tail", "")
        if snapshot.entry["supersedes"] != "-" and row is snapshot.rows[0]:
            number, position = map(int, snapshot.entry["supersedes"].split("/"))
            before = next(r for r in by_name[(*snapshot.name[:2], number)].rows if r["position"] == position)
            is_readable &= not (before["reason"] == "" and before["record"].strip() == row["record"].strip())
        return int(is_readable and table in ("generations", "reward_scores"))
    if format_name == "preference_pairs":
        return {"annotations": 1, "generations": 2}.get(table, 0)
    if format_name in ("trl_trainer_state", "trl_log_history"):
        item = json.loads(row["record"])
        if "log_history" in item:
            return int(table == "runs")
        counts = {"training_metrics": len(item.keys() - {"step", "epoch"}), "policy_updates": int("loss" in item)}
        return counts.get(table, 0)
    if format_name == "weights":
        return int(table == "model_checkpoints")
    if format_name == "tensorboard" and row["status"] == "ok":
        of_metric = ("training_metrics", "policy_updates")
        return int(table in (("runs",) if "file_version" in json.loads(row["record"]) else of_metric))
    return 0


def _unpacked(content: bytes, compression: str) -> bytes:
    if compression == "gzip":
        return gzip.decompress(content)
    if compression == "zstd":
        with zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True) as stream:
            return stream.read()
    return content


def _hash_only(content: bytes) -> bytes:
    return _canonical({"$hash_only": sha256(content).hex(), "bytes": len(content)})


def _check_items(snapshot: _Snapshot, of_source: list[_Snapshot], content: bytes) -> None:
    """All records of the generation so far are the container's items, each once; the newest header counts."""
    container, name = snapshot.entry["container"], snapshot.said["object"]
    if container == "whole":
        assert [row["record"] for row in snapshot.rows] == [_canonical({"$evidence": name, "bytes": len(content)})]
        return
    generation = [one for one in of_source if one.name[1] == snapshot.name[1] and one.name <= snapshot.name]
    records = {(one.name[2], row["position"]): row["record"] for one in generation for row in one.rows}
    for one in generation:
        if one.entry["supersedes"] != "-":
            number, position = map(int, one.entry["supersedes"].split("/"))
            del records[number, position]
    assert snapshot.said["is_complete"], "containers of many snapshots are not restated here"
    assert Counter(records.values()) == Counter(_items(container, content))


def _items(container: str, content: bytes) -> list[bytes]:
    items: list[Any]
    if container == "csv":
        header, *lines = csv.reader(io.StringIO(content.decode()))
        items = [dict(zip(header, line, strict=True)) for line in lines]
    elif container == "parquet":
        items = pq.read_table(io.BytesIO(content)).to_pylist()
    elif container == "tfrecord":
        items = _of_tfrecord(content)
    elif container == "sqlite":
        items = _rows_of_tables(content)
    else:
        assert container == "json", f"{container}: not restated here"
        document = json.loads(content)
        items = document if isinstance(document, list) else _of_object(document)
    return list(map(_canonical, items))


def _rows_of_tables(content: bytes) -> list[Any]:
    """Of a database whose tables have rowids, and hold no blob and no text that is not UTF-8."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(content)
        database.row_factory = sqlite3.Row
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return [
            {"row": dict(row), "table": name}
            for name in sorted(names)
            if not name.startswith("sqlite_")
            for row in database.execute(f'SELECT * FROM "{name}" ORDER BY rowid')
        ]


def _of_tfrecord(content: bytes) -> list[Any]:
    """Of the first event and scalars; a wrong checksum or a cut end is the rest."""
    items: list[Any] = []
    while content:
        size = int.from_bytes(content[:8], "little")
        data, end = content[12 : 12 + size], content[12 + size : 16 + size]
        if content[8:12] != _masked_crc(content[:8]) or end != _masked_crc(data):
            return [*items, {"$evidence": "rest"}]
        items.append(_of_message(data, _EVENT_FIELDS))
        content = content[16 + size :]
    return items


def _masked_crc(data: bytes) -> bytes:
    crc = 2**32 - 1
    for bit in (byte >> n & 1 for byte in data for n in range(8)):
        crc = crc >> 1 ^ 0x82F63B78 * ((crc ^ bit) & 1)
    crc ^= 2**32 - 1
    return (((crc << 17 | crc >> 15) + 0xA282EAD8) % 2**32).to_bytes(4, "little")


_VALUE_FIELDS: dict[int, tuple[str, Any]] = {
    1: ("tag", bytes.decode),
    2: ("simple_value", lambda four: struct.unpack("<f", four)[0]),
}
_EVENT_FIELDS: dict[int, tuple[str, Any]] = {
    1: ("wall_time", lambda eight: struct.unpack("<d", eight)[0]),
    2: ("step", int),
    3: ("file_version", bytes.decode),
    5: ("summary", lambda one: {"value": [_of_message(one[2:], _VALUE_FIELDS)]}),  # tag and length are a byte each
}


def _of_message(data: bytes, fields: dict[int, tuple[str, Any]]) -> dict[str, Any]:
    """Of a message whose numbers and lengths are below 128."""
    found = {}
    while data:
        number, wire = divmod(data[0], 8)
        end = {0: 2, 1: 9, 5: 5}.get(wire, 2 + data[1])
        name, read = fields[number]
        found[name] = read(data[1] if wire == 0 else data[2 if wire == 2 else 1 : end])
        data = data[end:]
    return found


def _of_object(document: dict[str, Any]) -> list[Any]:
    arrays = {
        key: value
        for key, value in document.items()
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
    }
    return [document | {key: [] for key in arrays}, *(one for array in arrays.values() for one in array)]


def _canonical(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _tile_range(path: str) -> tuple[int, int, int]:
    """(level, first hash, one after the last) of a tile's path below `tile/`."""
    level, _, rest = path.partition("/")
    index, _, width = rest.partition(".p/")
    first = 256 * int(index.replace("x", "").replace("/", ""))
    return int(level), first, first + int(width or 256)


def _inventory(text: str, listed: bytes) -> tuple[dict[str, str], dict[str, int], dict[str, str]]:
    """(head, versions of tables, digest and size of files) of an inventory's signed text and its list."""
    first, *fields, last = text.split("\n")
    assert (first, last) == ("audit-inventory/v1", "")
    head = dict(line.split(" ") for line in fields)
    assert list(head) == ["lake", "number", "previous", "log", "list"]
    assert sha256(listed).hex() == head["list"]
    count, *lines, end = listed.decode().split("\n")
    assert (count[:7], end) == ("tables ", "")
    split = int(count.removeprefix("tables "))
    tables = {name: int(version) for name, version in (line.split(" ") for line in lines[:split])}
    files = [line.rsplit(" ", 1) for line in lines[split + 1 :]]
    assert lines[split] == f"files {len(files)}"
    return head, tables, {path: said for said, path in files}
