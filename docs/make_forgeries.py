"""Makes docs/forgeries.md: every forgery of tests/forged and 1,000 flipped bits, tried and counted.

Run from the project's folder: `python docs/make_forgeries.py [FILE]`. It takes some minutes on two cores. A slow test
makes the page again and compares; a fast one tells of kinds that it does not name, or that were not found.
"""

import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from tests.flips import Changed, Found, choose_flips, count_kinds, run_changes  # noqa: E402
from tests.forged import KINDS  # noqa: E402
from tests.forgeries import Forgery, Material, make_material, run_lake, try_forgery  # noqa: E402
from tests.lakes import TODAY, LakeForTests  # noqa: E402

FLIPS = 1000
_OF_CHECKPOINTS = 100  # of them: a lake long enough for Delta checkpoints takes longer to verify
SEED = 20260305
_LONG_AGO = range(2, 13)  # days before TODAY, each sealed empty: with 10 commits a table has a Delta checkpoint
_HEAD = """# Forgeries that were tried

Made by `python docs/make_forgeries.py`; do not edit. What each level means and who can do what is in
[threat-model.md](threat-model.md). *Levels* are those whose own check finds every case: without marks and without a
trust file (`self-consistent`), with the marks (`extends-own-mark`), with the log's key given (`signed`), with the key
and a checkpoint given (`extends-held`). *Found* counts the cases that were found at exactly these levels. Where there
is no level, every case holds everywhere: these are the limits that the threat model states.
"""


def forgeries_page(folder: Path) -> str:
    """docs/forgeries.md, after trying everything on lakes below `folder`."""
    material = make_material(folder / "material")
    cases = [(number, place) for number, one in enumerate(KINDS) for place in one.places]
    # A process of its own for each worker: Delta's threads do not survive a fork.
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        asked = [
            pool.submit(_try, number, place, material, folder / f"case-{at}")
            for at, (number, place) in enumerate(cases)
        ]
        found = [future.result() for future in asked]
    held = {
        number: sum(ok for (of, _), ok in zip(cases, found, strict=True) if of == number)
        for number in range(len(KINDS))
    }
    rows = [
        f"| {one.kind} | {one.by} | {_levels(one)} | {len(one.places)} | {held[number]} |"
        for number, one in enumerate(KINDS)
    ]
    total = f"{len(KINDS)} kinds, {len(cases)} cases, {sum(found)} as stated."
    return "\n".join(
        [
            _HEAD,
            total,
            "",
            "| kind | made by | levels | cases | found |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "## Flipped bits",
            "",
            f"{FLIPS:,} single bits, by a generator with the seed {SEED}, without marks and trust file;",
            f"those of marks at `extends-own-mark`. {_OF_CHECKPOINTS} of them in a lake of 14 seals,",
            "where a table has a Delta checkpoint.",
            "",
            "| kind of file | files | flips | found |",
            "|---|---|---|---|",
            *_flip_rows(folder / "flips"),
            "",
        ]
    )


def _try(number: int, place: str, material: Material, folder: Path) -> bool:
    return try_forgery(KINDS[number], place, material, folder).found_at == KINDS[number].found_at


def _levels(one: Forgery) -> str:
    return ", ".join(f"`{level}`" for level in one.found_at) or "none"


def _flip_rows(folder: Path) -> Sequence[str]:
    lake = LakeForTests(folder / "lake", seed=1)
    run_lake(lake)
    found = _flip(lake, FLIPS - _OF_CHECKPOINTS, (), folder / "copies")
    for ago in _LONG_AGO:
        lake.seal(TODAY - timedelta(days=ago))
    lake.take_inventory()
    found += _flip(lake, _OF_CHECKPOINTS, ("Delta checkpoints", "_last_checkpoint"), folder / "long copies")
    return [f"| {kind} | {of} | {tried} | {seen} |" for kind, (of, tried, seen) in count_kinds(found).items()]


def _flip(lake: LakeForTests, count: int, kinds: Sequence[str], folder: Path) -> list[Found]:
    files = lake.files()
    flips = choose_flips(lake, count, SEED, kinds)
    folder.mkdir()
    return run_changes(lake.root, [Changed(one.path, one.of(files[one.path])) for one in flips], folder)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        page = forgeries_page(Path(made))
    Path(*sys.argv[1:2] or [HERE / "forgeries.md"]).write_text(page)
