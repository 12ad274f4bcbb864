"""Tiles: their paths, which of them a tree has, and what is in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog import Tile, hash_leaves, parse_tile_path, tile_path, tiles_for, tree_root

LEAVES = hash_leaves(b"%d" % number for number in range(70_000))
SIZES = [0, 1, 2, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 65_792, 70_000]

tiles = st.builds(Tile, st.integers(0, 63), st.integers(0, 10**18 - 1), st.integers(1, 256))


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0, 256), "tile/0/000"),
        (Tile(0, 0, 1), "tile/0/000.p/1"),
        (Tile(1, 999, 255), "tile/1/999.p/255"),
        (Tile(0, 1000, 256), "tile/0/x001/000"),
        (Tile(63, 1234067, 8), "tile/63/x001/x234/067.p/8"),
    ],
)
def test_paths_are_those_of_c2sp(tile: Tile, path: str) -> None:
    assert tile_path(tile.level, tile.index, tile.width) == path
    assert parse_tile_path(path) == tile


@given(tiles)
def test_a_path_reads_back_as_its_tile(tile: Tile) -> None:
    assert parse_tile_path(tile_path(tile.level, tile.index, tile.width)) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0",
        "tile/0/0",
        "tile/0/0000",
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/001/000",
        "tile/0/x000/001",
        "tile/0/x001/x234",
        "tile/0/x001/x000/x000/x000/x000/x000/000",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000/",
        "tile/0/000\n",
        "/tile/0/000",
        "tile/0/../000",
        "tile/entries/000",
        "tile/0/\u0660\u0660\u0660",
    ],
)
def test_a_path_that_c2sp_would_not_write_is_refused(path: str) -> None:
    with pytest.raises(ProofError, match="tile path"):
        parse_tile_path(path)


@pytest.mark.parametrize("tile", [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 10**18, 1), (0, 0, 0), (0, 0, 257)])
def test_a_tile_that_no_tree_has_gets_no_path(tile: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="no tile has"):
        tile_path(*tile)


def test_seventy_thousand_leaves_have_the_tiles_that_c2sp_counts() -> None:
    paths = [path for path, _ in tiles_for(LEAVES)]

    whole = [tile_path(0, index) for index in range(273)]
    assert paths == [*whole, "tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1"]


@pytest.mark.parametrize("size", SIZES)
def test_a_tile_holds_the_roots_of_the_ranges_below_it(size: int) -> None:
    """The definition of C2SP tlog-tiles: hash i of tile n of level l covers 256**l leaves."""
    for path, hashes in tiles_for(LEAVES[: 32 * size]):
        tile = parse_tile_path(path)
        covered = 256**tile.level
        assert len(hashes) == 32 * tile.width
        for position in {0, tile.width - 1}:
            first = (tile.index * 256 + position) * covered
            root = tree_root(LEAVES[32 * first : 32 * (first + covered)])
            assert hashes[32 * position : 32 * position + 32] == root


@pytest.mark.parametrize("size", SIZES)
def test_every_partial_width_is_that_of_c2sp(size: int) -> None:
    widths = {}
    for path, _ in tiles_for(LEAVES[: 32 * size]):
        tile = parse_tile_path(path)
        if tile.width < 256:
            widths[tile.level] = tile.width

    assert widths == {level: width for level in range(4) if (width := size // 256**level % 256)}


@pytest.mark.parametrize("size", SIZES)
def test_tiles_written_at_each_size_add_up_to_those_of_the_last(size: int) -> None:
    """A log that grows in steps has every tile of its size, and no tile is ever written with other bytes."""
    written: dict[str, bytes] = {}
    old_size = 0
    for step in [*(step for step in SIZES if step < size), size]:
        for path, hashes in tiles_for(LEAVES[: 32 * step], old_size):
            assert written.setdefault(path, hashes) == hashes
        old_size = step

    assert dict(tiles_for(LEAVES[: 32 * size])).items() <= written.items()


def test_whole_tiles_that_are_stored_are_not_given_again() -> None:
    paths = [path for path, _ in tiles_for(LEAVES[: 32 * 600], old_size=513)]

    assert paths == ["tile/0/002.p/88", "tile/1/000.p/2"]


def test_an_empty_tree_has_no_tiles() -> None:
    assert list(tiles_for(b"")) == []


def test_a_size_that_the_tree_never_had_is_refused() -> None:
    with pytest.raises(InputError, match="has no earlier size 4"):
        list(tiles_for(LEAVES[: 32 * 3], old_size=4))
