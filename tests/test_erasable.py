"""One person's records can be taken out by hand: every other record still proves, and nothing left tells a guess right.

What a future `erase` would do, done to the stored files: the person's rows go, with their salts; so do the nonces of
every source they were in, the kept sources, and the event rows. Their leaf hashes are kept: trees need them.
"""

import base64
import csv
import gzip
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from audit_pipeline import tlog
from audit_pipeline.lake.batches import FOOTER_KEY
from audit_pipeline.lake.data_files import write_parquet
from audit_pipeline.lake.declared import EVENTS, SEALS
from audit_pipeline.lake.logbook import read_log
from audit_pipeline.records import canonical
from tests.lakes import TABLES, TODAY, LakeForTests

SECRET = "my mother's name is Quillon"
OTHERS = [{"who": f"person {n}", "text": f"an answer to question {n}"} for n in range(5)]
MINE = [{"who": "Quillon", "text": f"{SECRET}, answer {n}", "step": n} for n in range(3)]
SALT, NONCE = canonical.SALT_BYTES, canonical.NONCE_BYTES


def lines(items: Iterable[Any]) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


def pair(who: str, number: int) -> dict[str, str]:
    return {"prompt": f"{who} asks {number}", "chosen": f"{who} likes this", "rejected": f"{who} does not like that"}


def parquet(items: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(items), file)
    return file.getvalue()


def csv_text(items: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(items[0]))
    writer.writeheader()
    writer.writerows(items)
    return text.getvalue().encode()


def landed() -> dict[str, bytes]:
    """By path: sources of several people, and the person's own under u17/."""
    pairs = [pair("person 1", 1), pair(SECRET, 2), pair("person 3", 3)]
    return {
        "shared.jsonl": lines([OTHERS[0], MINE[0], *OTHERS[1:3], MINE[1], OTHERS[3]]),
        "shared.jsonl.gz": gzip.compress(lines([OTHERS[0], MINE[2], OTHERS[4]]), mtime=0),
        "pairs.jsonl": lines(pairs),
        "others.jsonl": lines(OTHERS),
        "others.json": json.dumps(OTHERS).encode(),
        "u17/a.json": json.dumps(MINE).encode(),
        "u17/b.csv": csv_text(MINE),
        "u17/c.parquet": parquet(MINE),
        "u17/d.jsonl.gz": gzip.compress(lines(MINE), mtime=0),
        "u17/notes.md": f"# Notes\n{SECRET}".encode(),
        "u17/pairs.jsonl": lines([pair(SECRET, 4)]),
    }


@pytest.fixture
def sealed(lake: LakeForTests) -> LakeForTests:
    for name, content in landed().items():
        lake.land(name, content)
    lake.run()
    assert lake.verify().problems == ()
    return lake


@pytest.fixture(scope="module")
def erased_lake(tmp_path_factory: pytest.TempPathFactory) -> tuple[LakeForTests, "Erased"]:
    """For tests that put back whatever they change."""
    lake = LakeForTests(tmp_path_factory.mktemp("erased"))
    for name, content in landed().items():
        lake.land(name, content)
    lake.run()
    return lake, erase(lake)


Name = tuple[str, int, int]


@dataclass(slots=True)
class Erased:
    """What was taken out."""

    leaves: dict[Name, dict[int, bytes]] = field(default_factory=dict)
    """Kept: the leaf hash of each erased row, by snapshot and position."""
    records: list[bytes] = field(default_factory=list)
    hiding: list[bytes] = field(default_factory=list)
    """Salts and nonces."""

    @property
    def sources(self) -> set[str]:
        return {source for source, _, _ in self.leaves}


def is_mine(record: bytes, path: str) -> bool:
    return b"Quillon" in record or path.startswith(f"{TODAY}/u17/")


def erase(lake: LakeForTests) -> Erased:
    """Take the person's records out of every stored file that has them."""
    erased = Erased()
    paths = {str(row["source_id"]): str(row["path"]) for row in lake.rows("sources")}
    for file in data_files(lake, "records"):
        rows = pq.read_table(file, partitioning=None).to_pylist()
        mine = [row for row in rows if is_mine(row["record"], paths[row["source_id"]])]
        for row in mine:
            name = (row["source_id"], row["generation"], row["snapshot"])
            erased.leaves.setdefault(name, {})[row["position"]] = canonical.record_leaf(row["salt"], row["record"])
            erased.records.append(row["record"])
            erased.hiding.append(row["salt"])
        footer = json.loads(pq.read_metadata(file).metadata[FOOTER_KEY])
        for snapshot in footer["snapshots"]:
            if tlog.parse_source(snapshot["entry"].encode()).source in erased.sources:
                erased.hiding.append(bytes.fromhex(snapshot["nonce"]))
                snapshot["nonce"] = ""
        write_again(file, "records", [row for row in rows if row not in mine], {"audit.batch": json.dumps(footer)})
    for file in data_files(lake, "sources"):
        rows = pq.read_table(file, partitioning=None).to_pylist()
        for row in rows:
            if row["source_id"] in erased.sources:
                row["nonce"] = b""
                if row["object"]:
                    (lake.places.evidence / row["object"]).unlink()
        write_again(file, "sources", rows, {})
    for table in EVENTS:
        for file in data_files(lake, table):
            rows = pq.read_table(file, partitioning=None).to_pylist()
            kept = [row for row in rows if row["position"] not in erased.leaves.get(snapshot_of(row), {})]
            write_again(file, table, kept, {})
    return erased


def snapshot_of(row: Mapping[str, Any]) -> Name:
    return row["source_id"], row["generation"], row["snapshot"]


def data_files(lake: LakeForTests, table: str) -> list[Path]:
    folder = lake.places.lake / TABLES[table].area / table
    return [path for path in sorted(folder.rglob("*.parquet")) if "_delta_log" not in path.parts]


def write_again(path: Path, table: str, rows: list[dict[str, Any]], footer: Mapping[str, str]) -> None:
    with path.open("wb") as file:
        writer = write_parquet(file, TABLES[table].schema, TABLES[table].indexed)
        writer.add_key_value_metadata(dict(footer))
        writer.write_table(pa.Table.from_pylist(rows, schema=TABLES[table].schema))
        writer.close()


# Every other record still proves.


def test_every_other_record_still_proves_up_to_the_signed_checkpoint(sealed: LakeForTests) -> None:
    before = {(row["source_id"], row["position"]) for row in sealed.rows("records")}
    erased = erase(sealed)
    (seal,) = read_log(sealed.lake.open(SEALS))
    _, entries = tlog.parse_draft((sealed.places.evidence / f"_seals/{TODAY}/1").read_bytes())
    texts = [tlog.format_source(entry) for entry in entries]
    checkpoint, _ = tlog.open_checkpoint(
        (sealed.places.log / "checkpoint").read_bytes(), [tlog.parse_vkey(sealed.lake.vkey)]
    )
    rows: list[dict[str, Any]] = sealed.rows("records")
    left = {(row["source_id"], row["position"]) for row in rows}
    assert len(left) == len(before) - len(erased.records) > 0

    day, day_head = tlog.hash_leaves(texts), tlog.TreeHead(seal.size, bytes.fromhex(seal.root))
    for at, entry in enumerate(entries):
        name = (entry.source, entry.generation, entry.snapshot)
        head = tlog.TreeHead(entry.records, bytes.fromhex(entry.root))
        found = {row["position"]: row for row in rows if snapshot_of(row) == name}
        leaves = {position: canonical.record_leaf(row["salt"], row["record"]) for position, row in found.items()}
        everything = leaves | erased.leaves.get(name, {})
        joined = b"".join(everything[position] for position in sorted(everything))
        for position, leaf in leaves.items():
            index = position - entry.position
            tlog.check_inclusion(leaf, index, head, tlog.prove_inclusion(joined, index))
        assert tlog.tree_root(joined) == head.root
        tlog.check_inclusion(tlog.leaf_hash(texts[at]), at, day_head, tlog.prove_inclusion(day, at))
    assert tlog.leaf_hash(tlog.format_seal(seal)) == checkpoint.root


def test_what_else_is_stored_still_verifies(sealed: LakeForTests) -> None:
    """Problems name the files that were written again and the person's sources, and nothing else."""
    erased = erase(sealed)

    problems = sealed.verify().problems

    assert problems
    for problem in problems:
        assert problem.table in {"records", "sources", "evidence", *EVENTS}, problem
        is_file = ".parquet" in problem.message or ".zst" in problem.message
        assert problem.source in erased.sources or is_file, problem


# Nothing that is left tells a guess right.


def stored_bytes(lake: LakeForTests) -> Iterator[tuple[str, bytes]]:
    """(where, bytes) of everything stored: files as they are, and what is compressed in them."""
    for path, content in lake.files().items():
        yield path, content
        if path.endswith(".parquet"):
            table = pq.read_table(io.BytesIO(content))
            yield f"{path} values", json.dumps(table.to_pylist(), default=_plain).encode()
            for name in table.schema.names:
                if pa.types.is_binary(table.schema.field(name).type):
                    yield f"{path} {name}", b"\n".join(value or b"" for value in table.column(name).to_pylist())
            yield f"{path} footer", b"\n".join((pq.read_metadata(io.BytesIO(content)).metadata or {}).values())
        if path.endswith(".zst"):
            kept = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(content), read_across_frames=True).read()
            yield f"{path} content", kept
            if kept[:2] == b"\x1f\x8b":
                yield f"{path} unpacked", gzip.decompress(kept)


def _plain(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def spellings(value: bytes) -> set[bytes]:
    """The ways in which a text or a file says some bytes; base64 also inside a longer run."""
    found = {value, value.hex().encode(), value.hex().upper().encode()}
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + value)
        inner = encoded[(before * 8 + 5) // 6 : (before + len(value)) * 8 // 6]
        found |= {inner, inner.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def guesses(records: Iterable[bytes], files: Mapping[str, bytes]) -> set[bytes]:
    """A dictionary that has the true records, in each form in which they may have been hashed."""
    contents = {*records, *files.values()}
    contents |= {gzip.decompress(content) for content in files.values() if content[:2] == b"\x1f\x8b"}
    for content in list(contents):
        for line in [content, *content.split(b"\n")]:
            contents |= {line, line + b"\n", line.strip()}
            try:
                value = json.loads(line)
            except ValueError:
                continue
            contents.add(canonical.dump_canonical(value))
            for separators in ((",", ":"), (", ", ": ")):
                contents |= {
                    json.dumps(value, separators=separators, sort_keys=order).encode() for order in (True, False)
                }
            if isinstance(value, dict):
                contents |= {str(member).encode() for member in value.values()}
    return {content for content in contents if b"Quillon" in content}


PREFIXES = [b"", b"\0", b"\1", b"\2", b"\0\1", b"\0\1" + bytes(SALT), b"\2" + bytes(NONCE)]


def digests(contents: Iterable[bytes]) -> Iterator[bytes]:
    """Every digest that needs nothing but the content."""
    for content in contents:
        for prefix in PREFIXES:
            yield hashlib.sha256(prefix + content).digest()
        yield from (hashlib.new(name, content).digest() for name in ("sha1", "sha512", "sha3_256", "blake2b", "md5"))
        yield hashlib.sha256(hashlib.sha256(content).digest()).digest()


def traces(lake: LakeForTests, erased: Erased, files: Mapping[str, bytes]) -> list[str]:
    """Where something is left that says an erased record or tells a guess of it right."""
    dictionary = guesses(erased.records, files)
    needles = {spelled: "a digest" for digest in digests(dictionary) for spelled in spellings(digest)}
    needles |= {spelled: "a salt or nonce" for value in erased.hiding for spelled in spellings(value)}
    needles |= {spelled: "a record" for content in dictionary if len(content) > 6 for spelled in spellings(content)}
    found = []
    for where, content in stored_bytes(lake):
        found += [f"{where}: {what}" for spelled, what in needles.items() if spelled in content]
    return found


def mine_of(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {
        name: content
        for name, content in files.items()
        if name.startswith("u17/") or "shared" in name or name == "pairs.jsonl"
    }


def test_nothing_left_says_an_erased_record_or_tells_a_guess_right(sealed: LakeForTests) -> None:
    assert traces(sealed, Erased(), mine_of(landed())), "a check that finds nothing where everything is"

    erased = erase(sealed)

    assert len(erased.records) > 12
    assert traces(sealed, erased, mine_of(landed())) == []


def plant_text(value: bytes) -> bytes:
    return b'{"digest":"%s"}' % value.hex().encode()


def plant_parquet(value: bytes) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"x": pa.array([b"a" * 50, b"bb" + value + b"c"], pa.binary())}), file, compression="zstd")
    return file.getvalue()


PLANTED = {
    "hex in a text": ("evidence/note", plant_text),
    "base64 in a text": ("evidence/note", lambda value: b"x" + base64.b64encode(b"ab" + value + b"c")),
    "raw within a file": ("evidence/note", lambda value: b"zzz" + value + b"zzz"),
    "a value of a compressed column": ("lake/x.parquet", plant_parquet),
    "in a compressed object": ("evidence/x.zst", zstandard.ZstdCompressor().compress),
    "in a mark": ("keys/marks/note", plant_text),
}


@pytest.mark.parametrize(("name", "write"), PLANTED.values(), ids=PLANTED.keys())
@pytest.mark.parametrize("what", ["record", "leaf without salt", "content without nonce", "salt", "nonce"])
def test_a_digest_or_salt_that_was_kept_is_noticed(
    erased_lake: tuple[LakeForTests, Erased], name: str, write: Any, what: str
) -> None:
    """Of the check itself: each way in which something could be kept makes it fail."""
    lake, erased = erased_lake
    record = erased.records[0]
    kept = {
        "record": hashlib.sha256(record).digest(),
        "leaf without salt": hashlib.sha256(b"\0\1" + record).digest(),
        "content without nonce": hashlib.sha256(b"\2" + landed()["u17/a.json"]).digest(),
        "salt": erased.hiding[0],
        "nonce": next(value for value in erased.hiding if len(value) == NONCE),
    }[what]
    (lake.root / name).write_bytes(write(kept))

    found = traces(lake, replace(erased, records=[record]), {"u17/a.json": landed()["u17/a.json"]})
    (lake.root / name).unlink()

    assert found
    assert all(where.startswith(name) for where in found)


def test_no_stored_file_with_content_can_be_made_again_from_guesses(tmp_path: Path) -> None:
    """Inventories keep each file's plain SHA-256 for ever: something random must be in every file with content.

    Two lakes of one name and the same logs, with other salts and nonces: a file that both have in the same bytes is one
    that somebody who guesses right can make again, and compare.
    """
    for number in (1, 2):
        lake = LakeForTests(tmp_path / str(number), seed=number)
        if number == 2:
            for name in ("key.pem", "vkey"):
                (lake.places.keys / name).write_bytes((tmp_path / "1/keys" / name).read_bytes())
        for name, content in landed().items():
            path = lake.land(name, content)
            os.utime(path, (1_770_000_000, 1_770_000_000))
        lake.run()
    first, second = (LakeForTests(tmp_path / str(number)) for number in (1, 2))
    others = second.files()

    same = {path: content for path, content in first.files().items() if others.get(path) == content}

    assert "lake/restricted/records/_delta_log/00000000000000000000.json" in same
    made_again = dict.fromkeys(where.split()[0] for where, content in stored_bytes(first) if b"Quillon" in content)
    assert [path for path in made_again if path in same] == []
