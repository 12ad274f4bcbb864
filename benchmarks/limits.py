"""What the machine can do: hashing, compressing and decoding, each alone, by the fastest means at hand."""

import ctypes
import hashlib
import mmap
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import sha_ni
from lakes import Work
from peers import data_files, line_ends, parsed, schema_of
from sizes import TREE_LEAVES

_PAGE_BYTES = 1 << 20  # what Parquet compresses at once
_HASHED_BYTES = 16 << 20
_LEAF_OVERHEAD_BYTES = 18  # two of prefix, sixteen of salt


def hash_content(file: Path, home: Path) -> Work:
    """SHA-256 over all bytes of the file."""
    content = _mapped(file)
    return lambda: hashlib.sha256(content).digest()


def hash_records(file: Path, home: Path) -> Work:
    """The leaf hash of each line."""
    import numpy as np

    content = np.frombuffer(_mapped(file), np.uint8)
    ends = line_ends(content).astype(np.int64)
    salts = np.frombuffer(os.urandom(16 * len(ends)), np.uint8)
    try:
        library = sha_ni.load(file.parent)
    except sha_ni.NotMeasured:
        return _hash_records_without(content, ends, salts)

    def work() -> dict[str, Any]:
        sha_ni.leaves_of(library, salts.ctypes.data, content.ctypes.data, ends.ctypes.data, len(ends))
        return {"means": "C with SHA extensions", "records": len(ends)}

    return work


def hash_trees(file: Path, home: Path) -> Work:
    """The nodes of one tree over as many leaves as the file has lines."""
    import datafusion  # noqa: F401

    from audit_pipeline.lake.hashing import hash_nodes
    from audit_pipeline.tlog import tree_root

    leaves = os.urandom(32 * len(line_ends(_mapped(file))))
    try:
        library = sha_ni.load(file.parent)
    except sha_ni.NotMeasured:
        return lambda: {"means": "DataFusion", "root": tree_root(leaves, hash_nodes).hex()}
    held = ctypes.create_string_buffer(leaves, len(leaves))
    return lambda: {"means": "C with SHA extensions", "root": sha_ni.root_in_place(library, held).hex()}


def compress(file: Path, home: Path) -> Work:
    """The bytes of the file by zstd at level 1, a page at a time."""
    import pyarrow as pa

    content, codec = pa.py_buffer(_mapped(file)), pa.Codec("zstd", 1)

    def work() -> None:
        for at in range(0, content.size, _PAGE_BYTES):
            codec.compress(content.slice(at, min(_PAGE_BYTES, content.size - at)))

    return work


def parse(file: Path, home: Path) -> Work:
    """arro3 parses the lines into typed columns, which are dropped."""
    schema = schema_of(file)

    def work() -> None:
        for _ in parsed(file, schema):
            pass

    return work


def hash_leaves(file: Path, home: Path) -> Work:
    """Bytes that `hash_leaves` hashes in a second: records as long as the file's mean line, 16 MiB at once."""
    import datafusion  # noqa: F401

    from audit_pipeline.lake.hashing import fixed_width
    from audit_pipeline.lake.hashing import hash_leaves as hash_them

    size = _mean_bytes(file)
    count = _HASHED_BYTES // size
    salts, records = os.urandom(16 * count), fixed_width(os.urandom(size * count), size)
    hash_them(salts, records)  # the engine starts with its first plan

    def work() -> dict[str, Any]:
        for _ in range(20):
            hash_them(salts, records)
        return {"hashed_bytes": 20 * count * (size + _LEAF_OVERHEAD_BYTES), "record_bytes": size}

    return work


def openssl(file: Path, home: Path) -> Work:
    """`openssl speed` on messages of that size, in bytes per second, for one second by the clock."""
    program = shutil.which("openssl")
    if program is None:
        raise sha_ni.NotMeasured("there is no openssl on this machine")
    size = str(_mean_bytes(file) + _LEAF_OVERHEAD_BYTES)
    command = [program, "speed", "-mr", "-elapsed", "-evp", "sha256", "-bytes", size, "-seconds", "1"]

    def work() -> dict[str, Any]:
        printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        found = re.search(r"^\+F:\d+:sha256:([0-9.]+)$", printed, re.MULTILINE)
        if found is None:
            raise sha_ni.NotMeasured("this openssl prints its speed in another form")
        return {"bytes_per_s": float(found[1])}

    return work


def build_tree(file: Path, home: Path) -> Work:
    """The root over a million leaf hashes, as seals and verification build it."""
    import datafusion  # noqa: F401

    from audit_pipeline.lake.hashing import hash_nodes
    from audit_pipeline.tlog import tree_root

    leaves = os.urandom(32 * TREE_LEAVES)
    hash_nodes(leaves[:65536])
    return lambda: tree_root(leaves, hash_nodes)


def build_tree_in_c(file: Path, home: Path) -> Work:
    """The same by sha_ni.c, ten times over, because it takes some 30 ms."""
    library = sha_ni.load(file.parent)
    held = [ctypes.create_string_buffer(os.urandom(32 * TREE_LEAVES), 32 * TREE_LEAVES) for _ in range(10)]

    def work() -> dict[str, Any]:
        for leaves in held:
            sha_ni.root_in_place(library, leaves)
        return {"trees": len(held)}

    return work


def hash_files(file: Path, home: Path) -> Work:
    """SHA-256 over the bytes of all data files of `records`."""
    contents = [_mapped(Path(name)) for name in data_files(home)]

    def work() -> None:
        for content in contents:
            hashlib.sha256(content).digest()

    return work


def list_files(file: Path, home: Path) -> Work:
    """Every landed file listed, with its size."""

    def work() -> dict[str, Any]:
        return {"files": sum(entry.is_file() and entry.stat().st_size >= 0 for entry in _walk(home / "landing"))}

    return work


def _walk(folder: Path) -> "list[os.DirEntry[str]]":
    found, waiting = [], [str(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    found.append(entry)
    return found


def _hash_records_without(content: Any, ends: Any, salts: Any) -> Work:
    import datafusion  # noqa: F401
    import pyarrow as pa

    from audit_pipeline.lake.hashing import hash_leaves as hash_them

    lines = pa.array([content[first:last].tobytes() for first, last in zip([0, *(ends[:-1] + 1)], ends, strict=True)])

    def work() -> dict[str, Any]:
        hash_them(salts.tobytes(), lines)
        return {"means": "DataFusion", "records": len(ends)}

    return work


def _mapped(file: Path) -> mmap.mmap:
    with file.open("rb") as opened:
        return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)


def _mean_bytes(file: Path) -> int:
    """The mean length of the first lines."""
    with file.open("rb") as lines:
        lengths = [len(line) - 1 for line, _ in zip(lines, range(10_000), strict=False)]
    return round(sum(lengths) / len(lengths))
