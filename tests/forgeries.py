"""Forgeries of a small sealed lake: named kinds, at named places, by somebody with named means, found at named levels.

A kind declares the levels whose own check finds it. `levels_that_find` asks for each alone: the marks are looked at for
`extends-own-mark` only, a key that was given for `signed` and `extends-held` only. A kind that no level finds is a
stated limit of docs/threat-model.md. docs/forgeries.md is the table of all kinds.
"""

import gzip
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from audit_pipeline import tlog
from audit_pipeline.lake import batches
from audit_pipeline.lake.commits import Commit, commit_file, format_commit, parse_commit
from audit_pipeline.lake.data_files import describe_file, write_parquet
from audit_pipeline.lake.declared import TABLES
from audit_pipeline.lake.hashing import hash_leaves
from audit_pipeline.lake.opened import open_lake
from audit_pipeline.lake.projection import source_rows
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records import canonical
from audit_pipeline.signers import load_signers
from audit_pipeline.tlog.trust import Trust
from audit_pipeline.verify import Verification, verify
from tests.lakes import TODAY, LakeForTests

DAY = TODAY - timedelta(days=1)
ALL = ("self-consistent", "extends-own-mark", "signed", "extends-held")
BY_MARK_OR_HELD = ("extends-own-mark", "extends-held")
STORE = "writer of the store"
KEY = "holder of the key"
MARKS = "holder of the marks"
KEY_AND_MARKS = "holder of key and marks"

LANDED: tuple[tuple[date, dict[str, bytes]], ...] = (
    (
        DAY,
        {
            "a.jsonl": b"".join(b'{"step":%d}\n' % n for n in range(12)),
            "b/trainer_state.json": b'{"log_history":[{"step":1,"loss":0.5},{"step":2,"loss":0.25}]}',
            "bad.jsonl": b'{"a":1}\n{"a":\nxx',
            "d.jsonl.gz": gzip.compress(b'{"g":1}\n{"g":2}\n', mtime=0),
        },
    ),
    (TODAY, {"c.jsonl": b'{"prompt":"p","chosen":"x","rejected":"y"}\n' * 3, "model.bin": b"weights"}),
    (DAY, {"late.jsonl": b'{"late":1}\n{"late":2}\n'}),
)
"""What lands before each run: the third brings a second segment of the first day."""
BATCHES = {1: f"runs/{DAY}/1.parquet", 2: f"runs/{TODAY}/1.parquet", 3: f"runs/{DAY}/2.parquet"}
"""The data file of each commit of `records`."""


def run_lake(lake: LakeForTests, landed: tuple[tuple[date, Mapping[str, bytes]], ...] = LANDED) -> None:
    for day, files in landed:
        for name, content in files.items():
            path = lake.land(name, content, day)
            os.utime(path, (1_770_000_000, 1_770_000_000))
        lake.run(day)


@dataclass(frozen=True, slots=True)
class Material:
    """What a forger and a verifier may have, made once."""

    root: Path
    """The sealed lake, which nobody touches."""
    backup: Path
    """The same lake after its second run."""
    other: Path
    """Another lake, with a key of its own."""
    held: bytes
    """The newest checkpoint."""
    held_before: bytes
    """The checkpoint after the second run."""
    verifier: tlog.Verifier


def make_material(folder: Path) -> Material:
    lake = LakeForTests(folder / "lake", seed=1)
    run_lake(lake, LANDED[:2])
    shutil.copytree(lake.root, folder / "backup")
    before = (lake.places.log / "checkpoint").read_bytes()
    run_lake(lake, LANDED[2:])
    other = LakeForTests(folder / "other", seed=2)
    run_lake(other, tuple((day, {name: content + content for name, content in files.items()}) for day, files in LANDED))
    held = (lake.places.log / "checkpoint").read_bytes()
    return Material(lake.root, folder / "backup", other.root, held, before, tlog.parse_vkey(lake.lake.vkey))


class Forger:
    """A copy of the sealed lake, and what somebody who can write there does to it."""

    def __init__(self, material: Material, folder: Path, held: bytes | None = None) -> None:
        shutil.copytree(material.root, folder)
        self.material = material
        self.root = folder
        self.lake = LakeForTests(folder)
        self.held = material.held if held is None else held
        self._tables: dict[str, OpenTable] = {}

    def stored(self, path: str) -> Path:
        return self.root / path

    def table(self, name: str) -> OpenTable:
        """As it was opened first: a forged log might not open."""
        if name not in self._tables:
            self._tables[name] = self.lake.lake.open(TABLES[name])
        return self._tables[name]

    def data(self, table: str, name: str) -> Path:
        return self.table(table).files.path(name)

    def commit_path(self, table: str, version: int) -> Path:
        return self.data(table, commit_file(version))

    def commit(self, table: str, version: int) -> Commit:
        return parse_commit(self.commit_path(table, version).read_bytes(), table)

    def write_commit(self, table: str, version: int, commit: Commit) -> None:
        self.commit_path(table, version).write_bytes(format_commit(commit))

    def recommit(self, table: str, version: int, **changes: Any) -> None:
        """Write a commit again, as this program would of the data files as they are now."""
        opened, commit = self.table(table), replace(self.commit(table, version), **changes)
        files = tuple(describe_file(opened, file.name) for file in commit.files)
        self.write_commit(table, version, replace(commit, files=files))

    def rewrite(self, table: str, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
        """Other rows in a data file, which is otherwise written as this program writes its own."""
        path = self.data(table, name)
        footer = pq.read_metadata(path).metadata or {}
        rows = change(pq.read_table(path, partitioning=None))
        self.write_rows(table, path, rows, {k.decode(): v.decode() for k, v in footer.items() if k != b"ARROW:schema"})

    def write_rows(self, table: str, path: Path, rows: pa.Table, footer: Mapping[str, str]) -> None:
        path.unlink()
        with path.open("wb") as file:
            writer = write_parquet(file, rows.schema, TABLES[table].indexed)
            writer.add_key_value_metadata(dict(footer))
            writer.write_table(rows)
            writer.close()

    def rewrite_footer(self, version: int, change: Callable[[dict[str, Any]], None]) -> None:
        """Another `audit.batch` in the footer of a data file of `records`."""
        path = self.data("records", BATCHES[version])
        footer = canonical.load_json(pq.read_metadata(path).metadata[batches.FOOTER_KEY].decode())
        change(footer)
        rows = pq.read_table(path, partitioning=None)
        self.write_rows("records", path, rows, {"audit.batch": canonical.dump_canonical(footer).decode()})

    def fit_entries(self, version: int) -> None:
        """Make footer, commit, `sources` and drafts say what the rows of a batch are now. Only seals tell."""
        rows = pq.read_table(self.data("records", BATCHES[version]), partitioning=None).to_pylist()
        replaced: dict[str, str] = {}

        def fit(footer: dict[str, Any]) -> None:
            for snapshot in footer["snapshots"]:
                fitted = _fitted(snapshot["entry"], rows)
                replaced[snapshot["entry"]] = fitted
                snapshot["entry"] = fitted

        self.rewrite_footer(version, fit)
        entries = tuple(replaced.get(text, text) for text in self.commit("records", version).entries or ())
        self.recommit("records", version, entries=entries)
        self.project(version)
        for draft in (self.lake.places.evidence / "_seals").rglob("*"):
            if draft.is_file():
                text = draft.read_text()
                for before, after in replaced.items():
                    text = text.replace(before, after)
                draft.write_text(text)

    def project(self, version: int) -> None:
        """Make `sources` say what the data file's footer and the commit say now."""
        rows = source_rows(self.table("records"), self.commit("records", version))
        self.write_rows("sources", self.data("sources", f"{version}.parquet"), rows, {})
        self.recommit("sources", version)

    def take_from(self, other: Path, *areas: str) -> None:
        """Put folders of another place over one's own."""
        for area in areas:
            shutil.rmtree(self.stored(area), ignore_errors=True)
            shutil.copytree(other / area, self.stored(area))

    def signer(self) -> tlog.Signer:
        return load_signers(self.lake.places, None)[0]

    def list_again(self, signer: tlog.Signer | None = None, *, with_marks: bool = False) -> None:
        """Sign every inventory again over the files as they are now, and mark them if these can be written too."""
        signer, previous = signer or self.signer(), None
        names = sorted(self.lake.places.evidence.glob("_inventory/*"), key=lambda path: int(path.name))
        digests: dict[str, str] = {}
        for path in names:
            before = path.read_bytes()
            inventory = tlog.open_inventory(before, [self.material.verifier])
            files = tuple(self.stored_file(file.path) for file in inventory.files)
            after = tlog.sign_inventory(replace(inventory, previous=previous, files=files), signer)
            path.write_bytes(after)
            previous = hashlib.sha256(after).hexdigest()
            digests[hashlib.sha256(before).hexdigest()] = previous
        if with_marks:
            self.mark_again(digests)

    def stored_file(self, path: str) -> tlog.StoredFile:
        """A file as an inventory of now would list it."""
        content = self.stored(path).read_bytes()
        return tlog.StoredFile(path, len(content), hashlib.sha256(content).hexdigest())

    def mark_again(self, digests: Mapping[str, str]) -> None:
        previous = None
        for path in sorted(self.lake.places.marks.iterdir(), key=lambda path: int(path.name)):
            mark = tlog.parse_mark(path.read_bytes())
            inventory = None if mark.inventory is None else digests.get(mark.inventory, mark.inventory)
            path.write_bytes(tlog.format_mark(replace(mark, previous=previous, inventory=inventory)))
            previous = hashlib.sha256(path.read_bytes()).hexdigest()

    def rebuild(
        self, change: Callable[[int, dict[str, bytes]], dict[str, bytes] | None], *, first: int = 0, with_marks: bool
    ) -> None:
        """With the key: another history from run `first` on, as if it had been so from the beginning."""
        rebuilt = self.root.with_name(f"{self.root.name}-rebuilt")
        if first == 2:
            shutil.copytree(self.material.backup, rebuilt)
        else:
            (rebuilt / "keys").mkdir(parents=True)
            for name in ("key.pem", "vkey", "pseudonym.pem", "bounding.pem"):
                shutil.copy(self.stored(f"keys/{name}"), rebuilt / "keys" / name)
        lake = LakeForTests(rebuilt, seed=3)
        for number, (day, files) in list(enumerate(LANDED))[first:]:
            changed = change(number, dict(files))
            if changed is not None:
                run_lake(lake, ((day, changed),))
        self.take_from(rebuilt, "lake", "evidence", "log", *(["keys/marks"] if with_marks else []))


def _fitted(text: str, rows: list[dict[str, Any]]) -> str:
    entry = tlog.parse_source(text.encode())
    name = (entry.source, entry.generation, entry.snapshot)
    mine = [row for row in rows if (row["source_id"], row["generation"], row["snapshot"]) == name]
    mine.sort(key=lambda row: row["position"])
    leaves = hash_leaves(
        b"".join([row["salt"].ljust(16, b"\0")[:16] for row in mine]),
        pa.array([row["record"] for row in mine], pa.binary()),
    )
    odd = [
        (row["position"], row["status"], row["reason"]) for row in mine if (row["status"], row["reason"]) != ("ok", "")
    ]
    fitted = replace(
        entry, records=len(mine), root=tlog.tree_root(leaves).hex(), exceptions=canonical.exceptions_digest(odd)
    )
    return tlog.format_source(fitted).decode()


Change = Callable[[Forger, str], None]


@dataclass(frozen=True, slots=True)
class Forgery:
    """One kind. `forge` takes a copy of the lake and the name of a place."""

    kind: str
    by: str
    places: tuple[str, ...]
    found_at: tuple[str, ...]
    forge: Change
    holds_before: bool
    """Whether the verifier holds the checkpoint of the second run, not the newest."""


FORGERIES: list[Forgery] = []


def forgery(
    kind: str, *places: str, by: str = STORE, found_at: tuple[str, ...] = ALL, holds_before: bool = False
) -> Callable[[Change], Change]:
    """Add a kind to FORGERIES."""

    def add(forge: Change) -> Change:
        FORGERIES.append(Forgery(kind, by, places or ("-",), found_at, forge, holds_before))
        return forge

    return add


def each(places: str) -> list[str]:
    """Names of places from one text."""
    return places.split("; ")


def verify_at(level: str, lake: LakeForTests, verifier: tlog.Verifier, held: bytes) -> Verification:
    """A verification that can show `level` and, beside self-consistency, nothing else."""
    places = lake.places
    if level != "extends-own-mark":
        places = replace(places, marks=lake.root / "nowhere")
    trust = {
        "signed": Trust((verifier,)),
        "extends-held": Trust((verifier,), held=held),
    }.get(level)
    return verify(open_lake(places), trust=trust)


def levels_that_find(forger: Forger) -> tuple[tuple[str, ...], str]:
    """The levels at which this lake does not hold, and what the first of them says."""
    found, said = [], ""
    for level in ALL:
        verification = verify_at(level, forger.lake, forger.material.verifier, forger.held)
        if verification.problems or level not in verification.levels:
            found.append(level)
            said = said or (verification.problems[0].message if verification.problems else "level not shown")
    return tuple(found), said


@dataclass(frozen=True, slots=True)
class Outcome:
    kind: str
    place: str
    found_at: tuple[str, ...]
    message: str


def try_forgery(one: Forgery, place: str, material: Material, folder: Path) -> Outcome:
    forger = Forger(material, folder, material.held_before if one.holds_before else None)
    one.forge(forger, place)
    found_at, said = levels_that_find(forger)
    shutil.rmtree(folder)
    return Outcome(one.kind, place, found_at, said)
