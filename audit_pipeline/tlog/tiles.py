"""Tiles of a log's tree, as C2SP tlog-tiles publishes them: their paths, and the bytes under each.

    tile/<level>/<index>[.p/<width>]

A tile of level 0 holds 256 leaf hashes; one of level l holds the roots of 256 whole tiles of level l - 1. A whole tile
has 8,192 bytes. The last tile of a level may be partial: then it holds `width` hashes and is never hashed up.
The index is written in groups of three digits, all but the last after an `x`: tile 1234067 is x001/x234/067.
A path is relative to the log's prefix. Entry bundles (tile/entries) are not written: seal entries hold exact counts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog.encoding import MAX_DECIMAL, shown
from audit_pipeline.tlog.merkle import HASH_BYTES, HashNodes, count_hashes, hash_pairs

C2SP_TILE_HEIGHT = 8
C2SP_TILE_WIDTH = 2**C2SP_TILE_HEIGHT
C2SP_TILE_LEVELS = 64

_TILE_BYTES = C2SP_TILE_WIDTH * HASH_BYTES
_TILE_PATH = re.compile(r"tile/([0-9]{1,2})/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([0-9]{1,3}))?")


@dataclass(frozen=True, slots=True)
class Tile:
    """Where a tile lies in its tree."""

    level: int
    index: int
    width: int
    """Hashes, from 1 to 256; below 256 the tile is partial."""


def tile_path(level: int, index: int, width: int = C2SP_TILE_WIDTH) -> str:
    """Path of a tile under the log's prefix, such as tile/0/x001/x234/067.p/8.

    Raises:
        InputError: no tile lies there.
    """
    is_tile = 0 <= level < C2SP_TILE_LEVELS and 0 <= index <= MAX_DECIMAL and 1 <= width <= C2SP_TILE_WIDTH
    if not is_tile:
        raise InputError(f"tile: no tile has level {level}, index {index} and width {width}")
    path = f"{index % 1000:03}"
    while index := index // 1000:
        path = f"x{index % 1000:03}/{path}"
    return f"tile/{level}/{path}" + (f".p/{width}" if width < C2SP_TILE_WIDTH else "")


def parse_tile_path(path: str) -> Tile:
    """The tile at a path that `tile_path` could have written.

    Raises:
        ProofError: the path is of no tile, or a second path to one.
    """
    match = _TILE_PATH.fullmatch(path)
    if match is None:
        raise ProofError(f"tile path: expected tile/<level>/<index>[.p/<width>], got {shown(path)}")
    level, index, width = match.groups()
    tile = Tile(int(level), int(index.replace("x", "").replace("/", "")), int(width or C2SP_TILE_WIDTH))
    is_one_path = tile.level < C2SP_TILE_LEVELS and 1 <= tile.width <= C2SP_TILE_WIDTH
    if not is_one_path or tile_path(tile.level, tile.index, tile.width) != path:
        raise ProofError(f"tile path: {shown(path)} is not how C2SP tlog-tiles writes level, index and width")
    return tile


def tiles_for(leaf_hashes: bytes, old_size: int = 0, hash_nodes: HashNodes = hash_pairs) -> Iterator[tuple[str, bytes]]:
    """Each (path, bytes) to write for the tree over these leaves, once those of `old_size` leaves are stored.

    Whole tiles that were whole at `old_size` are left out. The partial tile of each level is always given, also where
    it did not grow: writing it again changes nothing, and a run that died between two tiles is made good by the next.
    """
    if not 0 <= old_size <= count_hashes(leaf_hashes):
        raise InputError(f"tiles: a tree of {count_hashes(leaf_hashes)} leaves has no earlier size {old_size}")
    level, hashes, stored = 0, leaf_hashes, old_size
    while hashes:
        whole = len(hashes) // _TILE_BYTES
        for index in range(stored // C2SP_TILE_WIDTH, whole):
            yield tile_path(level, index), hashes[index * _TILE_BYTES : (index + 1) * _TILE_BYTES]
        if partial := hashes[whole * _TILE_BYTES :]:
            yield tile_path(level, whole, count_hashes(partial)), partial
        hashes = hashes[: whole * _TILE_BYTES]
        for _ in range(C2SP_TILE_HEIGHT if hashes else 0):
            hashes = hash_nodes(hashes)
        level, stored = level + 1, stored // C2SP_TILE_WIDTH
