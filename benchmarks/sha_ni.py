"""sha_ni.c, compiled where it is needed, and checked against hashlib before anything of it is timed."""

import ctypes
import hashlib
import shutil
import subprocess
from functools import cache
from pathlib import Path

from audit_pipeline.records.canonical import record_leaf
from audit_pipeline.tlog import node_hash, tree_root

_SOURCE = Path(__file__).with_suffix(".c")


class NotMeasured(Exception):
    """What a work needs is not on this machine. Says what."""


@cache
def load(folder: Path) -> ctypes.CDLL:
    """The library, made in `folder` if it is not there.

    Raises:
        NotMeasured: there is no compiler, or the processor has no SHA extensions.
    """
    path = folder / "sha_ni.so"
    if not path.exists():
        _compile(path)
    library = ctypes.CDLL(str(path))
    if not library.has_sha_ni():
        raise NotMeasured("this processor has no SHA extensions")
    library.hash_leaves.restype = ctypes.c_int
    library.hash_leaves.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_size_t, ctypes.c_void_p]
    library.hash_nodes.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p]
    library.tree_root.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    _check(library)
    return library


def root_of(library: ctypes.CDLL, leaves: bytes) -> bytes:
    """The root over 32 * n bytes of leaf hashes."""
    return root_in_place(library, ctypes.create_string_buffer(leaves, len(leaves)))


def root_in_place(library: ctypes.CDLL, leaves: ctypes.Array[ctypes.c_char]) -> bytes:
    """The same; the leaves are overwritten."""
    root = ctypes.create_string_buffer(32)
    library.tree_root(leaves, len(leaves) // 32, root)
    return root.raw


def nodes_of(library: ctypes.CDLL, children: bytes) -> bytes:
    """Parents of adjacent pairs of hashes."""
    parents = ctypes.create_string_buffer(len(children) // 2)
    library.hash_nodes(children, len(children) // 64, parents)
    return parents.raw


def leaves_of(library: ctypes.CDLL, salts: int, content: int, ends: int, count: int) -> bytes:
    """Leaf hashes of lines: addresses of their salts, of their bytes, and of where each ends (as int64)."""
    hashes = ctypes.create_string_buffer(32 * count)
    if not library.hash_leaves(salts, content, ends, count, hashes):
        raise MemoryError
    return hashes.raw


def _compile(path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NotMeasured("there is no C compiler on this machine")
    command = [compiler, "-O3", "-msha", "-msse4.1", "-shared", "-fPIC", "-o", str(path), str(_SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotMeasured("sha_ni.c does not compile on this machine, which is not x86-64 or has another compiler")


def _check(library: ctypes.CDLL) -> None:
    for count in range(1, 20):
        hashes = b"".join(hashlib.sha256(bytes([count, n])).digest() for n in range(count))
        assert root_of(library, hashes) == tree_root(hashes), f"a tree of {count} leaves"
    pair = bytes(range(64))
    assert nodes_of(library, pair * 5) == node_hash(pair[:32], pair[32:]) * 5
    lines = [bytes([n % 9 + 97]) * (n * 7 % 150) for n in range(150)]
    text = b"".join(line + b"\n" for line in lines)
    ends = (ctypes.c_int64 * len(lines))()
    at = -1
    for number, line in enumerate(lines):
        at += len(line) + 1
        ends[number] = at
    salts = [hashlib.sha256(bytes([n])).digest()[:16] for n in range(len(lines))]
    buffers = [ctypes.create_string_buffer(values, len(values)) for values in (b"".join(salts), text)]
    of_salts, of_text = (ctypes.addressof(buffer) for buffer in buffers)
    found = leaves_of(library, of_salts, of_text, ctypes.addressof(ends), len(lines))
    assert found == b"".join(map(record_leaf, salts, lines))
