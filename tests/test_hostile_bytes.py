"""Files whose bytes are made to break their readers: a verification ends in time, within memory, with problems.

Footers of Parquet files are damaged at random and on purpose, JSON is made deep, long or wrong. A worker that ends is
no failure as long as `verify_apart`, which the commands use, finds and names the file.
"""

import io
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from audit_pipeline.verify.apart import verify_apart
from tests.flips import SLOWEST_S, Changed, Found, run_changes
from tests.forgeries import BATCHES, run_lake
from tests.lakes import LakeForTests

MOST_BYTES = 1 << 30  # of memory: what ingest is promised to need at most
PARQUET = (
    f"lake/restricted/records/{BATCHES[1]}",
    "lake/restricted/sources/1.parquet",
    "lake/restricted/annotations/2.parquet",
    "lake/audit/seals/0.parquet",
)
JSON = f"lake/restricted/records/_delta_log/{1:020}.json"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = LakeForTests(tmp_path_factory.mktemp("hostile") / "lake")
    run_lake(lake)
    return lake.root


def with_footer(content: bytes, footer: bytes) -> bytes:
    """A Parquet file with another footer: Thrift, its length in 4 bytes, and the magic."""
    length = struct.unpack("<I", content[-8:-4])[0]
    return content[: -8 - length] + footer + struct.pack("<I", len(footer)) + b"PAR1"


def footer_of(content: bytes) -> bytes:
    return content[-8 - struct.unpack("<I", content[-8:-4])[0] : -8]


def fuzz(content: bytes, chosen: random.Random) -> bytes:
    """A file with one kind of random damage to its footer."""
    footer = bytearray(footer_of(content))
    at = chosen.randrange(len(footer))
    way = chosen.randrange(7)
    if way == 0:
        footer[at] ^= 1 << chosen.randrange(8)
    elif way == 1:
        for _ in range(chosen.randrange(2, 17)):
            footer[chosen.randrange(len(footer))] = chosen.randrange(256)
    elif way == 2:
        del footer[at:]
    elif way == 3:
        del footer[at : at + chosen.randrange(1, 9)]
    elif way == 4:
        footer[at:at] = chosen.randbytes(chosen.randrange(1, 9))
    elif way == 5:
        footer[at : at + 10] = b"\xff" * 9 + b"\x01"  # the longest variable-length number
    else:
        other = chosen.randrange(len(footer))
        footer[at : at + 16] = footer[other : other + 16]
    return with_footer(content, bytes(footer))


def with_statistics(content: bytes, width: int, value: bytes) -> bytes:
    """Each least and greatest value of `width` bytes replaced: field headers and lengths fit, the type does not."""
    footer, at = footer_of(content), 0
    while (at := footer.find(bytes([0x18, width]), at)) >= 0:
        footer = footer[:at] + bytes([0x18, len(value)]) + value + footer[at + 2 + width :]
        at += 2 + len(value)
    return with_footer(content, footer)


def with_row_count(content: bytes, rows: int) -> bytes:
    """Every 64-bit number in the footer that is the file's number of rows, replaced."""
    count, varint, left = pq.read_metadata(io.BytesIO(content)).num_rows, bytearray(), 2 * rows
    while left >= 128:
        varint.append(left & 127 | 128)
        left >>= 7
    return with_footer(content, footer_of(content).replace(bytes([0x16, 2 * count]), b"\x16" + varint + bytes([left])))


ON_PURPOSE: dict[str, Callable[[bytes], bytes]] = {
    "numbers of no bytes in the statistics": lambda content: with_statistics(content, 8, b""),
    "numbers of three bytes in the statistics": lambda content: with_statistics(content, 8, b"abc"),
    "days of no bytes in the statistics": lambda content: with_statistics(content, 4, b""),
    "days of two bytes in the statistics": lambda content: with_statistics(content, 4, b"ab"),
    "the last day of all in the statistics": lambda content: with_statistics(content, 4, b"\xff\xff\xff\x7f"),
    "texts that are not UTF-8 in the statistics": lambda content: with_statistics(content, 64, b"\xff" * 64),
    "more rows than there are": lambda content: with_row_count(content, 10**6),
    "rows without end": lambda content: with_row_count(content, 10**15),
    "rows below none": lambda content: with_row_count(content, 2**63 - 1),
    "no footer": lambda content: with_footer(content, b""),
    "a footer longer than the file": lambda content: content[:-8] + struct.pack("<I", len(content) * 2) + b"PAR1",
    "a footer of the greatest length": lambda content: content[:-8] + b"\xff\xff\xff\xff" + b"PAR1",
    "structs within structs": lambda content: with_footer(content, b"\x1c" * 1_000_000),
    "lists within lists": lambda content: with_footer(content, b"\x19" + b"\x19" * 1_000_000),
    "a list of the greatest length": lambda content: with_footer(content, b"\x15\x02\x19\xfc\xff\xff\xff\xff\x07"),
    "a text of the greatest length": lambda content: with_footer(content, b"\x18\xff\xff\xff\xff\x07"),
    "zeros": lambda content: with_footer(content, bytes(10_000)),
    "magic alone": lambda content: b"PAR1",
    "an encrypted file's magic": lambda content: content[:-4] + b"PARE",
    "pages of random bytes": lambda content: with_footer(
        b"PAR1" + random.Random(1).randbytes(len(content) - 12 - len(footer_of(content))) + content[-8:],
        footer_of(content),
    ),
}

HOSTILE_JSON = {
    "deep lists": b'{"commitInfo":' + b"[" * 200_000 + b"\n",
    "deep objects": b'{"a":' * 200_000 + b"\n",
    "a huge number": b'{"commitInfo":{"timestamp":1' + b"0" * 100_000 + b"}}\n",
    "a number beyond a double": b'{"txn":{"appId":"x","version":1e999}}\n',
    "not UTF-8": b'{"txn":{"appId":"\xff\xfe","version":1}}\n',
    "a lone surrogate": b'{"txn":{"appId":"\\ud800","version":1}}\n',
    "zero bytes": bytes(100_000),
    "no object": b"[]\n1\nnull\n",
    "very many lines": b'{"x":1}\n' * 100_000,
    "a path above the table": b'{"add":{"path":"../../../../etc/passwd","partitionValues":{},"size":1,'
    b'"modificationTime":0,"dataChange":true}}\n',
    "a path of another kind": b'{"add":{"path":"s3://bucket/x.parquet","partitionValues":{},"size":1,'
    b'"modificationTime":0,"dataChange":true}}\n',
    "sizes below zero": b'{"add":{"path":"x","partitionValues":{},"size":-1,'
    b'"modificationTime":-1,"dataChange":true}}\n',
}


def check_found(found: list[Found]) -> None:
    missed = [one for one in found if not one.problems]
    assert not missed
    assert max(one.peak_bytes for one in found) < MOST_BYTES


def fuzzed(root: Path, count: int, seed: int) -> Iterator[Changed]:
    chosen = random.Random(seed)
    for number in range(count):
        path = PARQUET[number % len(PARQUET)]
        yield Changed(path, fuzz((root / path).read_bytes(), chosen))


def test_a_footer_damaged_at_random_is_a_problem(root: Path, tmp_path: Path) -> None:
    check_found(run_changes(root, list(fuzzed(root, 24, 1)), tmp_path))


@pytest.mark.slow
def test_hundreds_of_footers_damaged_at_random_are_problems(root: Path, tmp_path: Path) -> None:
    check_found(run_changes(root, list(fuzzed(root, 400, 2)), tmp_path))


@pytest.mark.parametrize("path", [PARQUET[0], pytest.param(PARQUET[1], marks=pytest.mark.slow)])
def test_a_footer_made_to_break_its_reader_is_a_problem(root: Path, tmp_path: Path, path: str) -> None:
    content = (root / path).read_bytes()

    check_found(run_changes(root, [Changed(path, change(content)) for change in ON_PURPOSE.values()], tmp_path))


@pytest.mark.parametrize("how", ["in place of a commit", "after the last line of a commit"])
def test_a_commit_made_to_break_its_reader_is_a_problem(root: Path, tmp_path: Path, how: str) -> None:
    before = b"" if how == "in place of a commit" else (root / JSON).read_bytes()

    check_found(run_changes(root, [Changed(JSON, before + hostile) for hostile in HOSTILE_JSON.values()], tmp_path))


@pytest.mark.parametrize(
    "pointer",
    [b"", b"{}", b'{"version":1e99,"size":1}', b'{"version":-1,"size":1}', b"[" * 100_000, b'{"version":3,"size":1}'],
    ids=["empty", "no version", "beyond a number", "below zero", "deep", "to nothing"],
)
def test_a_planted_pointer_to_a_checkpoint_breaks_nothing(root: Path, pointer: bytes) -> None:
    """Where engines pass over it, it does no harm, and verification says that no inventory lists it."""
    path = root / "lake/restricted/records/_delta_log/_last_checkpoint"
    path.write_bytes(pointer)

    found = LakeForTests(root).verify()

    path.unlink()
    assert found.problems or any("in no inventory" in note for note in found.notes)


def test_a_reader_that_ends_is_a_problem_and_no_traceback(root: Path) -> None:
    """Of footers that end the reading process too, as statistics of the wrong width do with pyarrow 25."""
    lake = LakeForTests(root)
    path = root / PARQUET[0]
    before = path.read_bytes()
    for change in ("numbers of no bytes in the statistics", "structs within structs"):
        path.write_bytes(ON_PURPOSE[change](before))

        problems = verify_apart(lake.lake).problems

        assert problems
        assert all("Traceback" not in problem.message for problem in problems)
    path.write_bytes(before)


ALONE = """
import sys
from pathlib import Path
from tests.lakes import LakeForTests
from tests.machine import peak_bytes
problems = LakeForTests(Path(sys.argv[1])).verify().problems
print(len(problems), peak_bytes())
"""
LOG = "lake/restricted/records/_delta_log"


def plant_pipe(name: str) -> Callable[[Path], None]:
    return lambda root: os.mkfifo(root / name)


def plant_hole(name: str) -> Callable[[Path], None]:
    """A file of 1.5 GB that takes no room on the disk."""
    return lambda root: os.truncate(root / name, 1_500_000_000)


def plant_inventory(root: Path) -> None:
    (root / "evidence/_inventory/999999999").write_bytes(b"x")


def plant_checkpoint(root: Path) -> None:
    """A Delta checkpoint of a version that the table never had."""
    DeltaTable(str(root / "lake/restricted/records")).create_checkpoint()
    (path,) = (root / LOG).glob("*.checkpoint.parquet")
    path.rename(path.with_name(f"{900_000_000:020}.checkpoint.parquet"))
    path.with_name("_last_checkpoint").write_text('{"version":900000000,"size":5}')


def plant_repeated_value(root: Path) -> None:
    """A file of some KB: one value of 300 KB that 3,000 rows name by its number in the dictionary."""
    path = root / PARQUET[0]
    footer = pq.read_metadata(path).metadata[b"audit.batch"].decode()
    rows = pa.concat_tables([pq.read_table(path, partitioning=None).slice(0, 1)] * 3000)
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 3000, pa.int32()), pa.array([b"x" * 300_000], pa.binary()))
    at = rows.schema.get_field_index("record")
    rows = rows.set_column(at, pa.field("record", values.type, nullable=False), values)
    with pq.ParquetWriter(path, rows.schema, compression="zstd", store_schema=False) as writer:
        writer.add_key_value_metadata({"audit.batch": footer})
        writer.write_table(rows)


WEARING: dict[str, Callable[[Path], None]] = {
    "a pipe as pointer to a checkpoint": plant_pipe(f"{LOG}/_last_checkpoint"),
    "a pipe as the next data file": plant_pipe(f"lake/restricted/records/{BATCHES[3].replace('2.', '3.')}"),
    "a pipe as the next draft": plant_pipe(f"evidence/_seals/{BATCHES[3].split('/')[1]}/3"),
    "a checkpoint of 1.5 GB": plant_hole("log/checkpoint"),
    "a draft of 1.5 GB": plant_hole(f"evidence/_seals/{BATCHES[1].split('/')[1]}/1"),
    "a tile of 1.5 GB": plant_hole("log/tile/0/000.p/3"),
    "an inventory of a great number": plant_inventory,
    "a Delta checkpoint of a great version": plant_checkpoint,
    "a value repeated very often": plant_repeated_value,
}


@pytest.mark.parametrize("plant", WEARING.values(), ids=WEARING.keys())
def test_what_makes_a_reader_wait_loop_or_fill_memory_is_a_problem(
    root: Path, tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    shutil.copytree(root, tmp_path / "lake")
    plant(tmp_path / "lake")
    command = [sys.executable, "-c", ALONE, str(tmp_path / "lake")]

    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False, timeout=SLOWEST_S
    )

    problems, peak_bytes = map(int, done.stdout.split())
    assert problems
    assert peak_bytes < MOST_BYTES


def test_a_delta_checkpoint_of_another_program_is_a_problem(root: Path, tmp_path: Path) -> None:
    """Ours are at every 100th commit, and inventories list those alone: this one would stay unlisted for ever."""
    shutil.copytree(root, tmp_path / "lake")
    DeltaTable(str(tmp_path / "lake/lake/restricted/records")).create_checkpoint()

    assert LakeForTests(tmp_path / "lake").verify().problems
