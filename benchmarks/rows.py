"""The rows of docs/benchmarks.md: what is claimed, what it is held to, and from which works it is made."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from measuring import Round, cores
from sizes import BUNDLED_RECORDS, GOAL_SIZES, MALFORMED_EVERY, SOURCES, TREE_LEAVES, Sizes

PEERS = {
    "plain_daft": "daft, lines as text",
    "plain_arro3": "arro3, typed columns",
    "plain_arro3_line": "arro3, typed columns and lines",
}
IDEAL = ("hash_content", "hash_records", "hash_trees", "compress", "parse")
PEAKS = ("ingest", "malformed", "sources", "rollouts", "metrics", "small", "seal", "sources_seal", "verify")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of each round, and its goal."""

    work: str
    of: Callable[[Round], float]
    needs: tuple[str, ...]
    """Steps that it is made from."""
    unit: str = ""
    """Empty: a ratio."""
    at_least: float | None = None
    at_most: float | None = None
    beside: str = ""
    """What the limit is, where the figure itself is no ratio."""
    limit: Callable[[Round], float] | None = None
    full_size: str = ""
    """What the goal is about, where less was measured."""

    @property
    def goal(self) -> float | None:
        return self.at_most if self.at_least is None else self.at_least

    def holds(self, value: float) -> bool:
        """Whether a value meets the goal."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


def rows_for(sizes: Sizes, fastest: str) -> list[Row]:
    """All rows, in the order of the page. `fastest`: of the plain writes."""
    return [
        *_ingest_rows(fastest),
        *_derive_rows(),
        *_hash_rows(),
        *_seal_rows(sizes),
        *_question_rows(sizes),
        *_day_rows(sizes),
    ]


def fastest_peer(rounds: Sequence[Round]) -> str:
    """The plain write with the lowest median of seconds."""
    return min(PEERS, key=lambda peer: median(_s(figures, peer) for figures in rounds))


def _ingest_rows(fastest: str) -> Iterator[Row]:
    goal = "ingest with all evidence beside the fastest plain JSONL → Delta write of the same rows"
    yield _rates(f"{goal} ({PEERS[fastest]})", "ingest", fastest, 0.85)
    for peer in sorted(PEERS.keys() - {fastest}):
        yield _rates(f"— beside {PEERS[peer]}", "ingest", peer)
    ideal = "the same beside the ideal: SHA-256, leaf and tree hashes, zstd-1, decode, on all cores"
    yield Row(ideal, lambda r: ideal_s(r) / _s(r, "ingest"), ("ingest", *IDEAL), at_least=0.5)
    yield _rates(f"ingest with one malformed line in {MALFORMED_EVERY:,} beside none", "malformed", "ingest", 0.8)


def _derive_rows() -> Iterator[Row]:
    for kind in ("rollouts", "metrics"):
        yield Row(
            f"ingest and derive beside ingest alone, verl {kind}",
            partial(_share_of_ingest, kind),
            (kind, f"{kind}_derive"),
            at_least=0.5,
        )


def _hash_rows() -> Iterator[Row]:
    yield Row(
        "leaf hashing beside `openssl speed -evp sha256` at that size, both on one core",
        lambda r: r["hash_leaves"]["hashed_bytes"] / _s(r, "hash_leaves") / r["openssl"]["bytes_per_s"],
        ("hash_leaves", "openssl"),
        at_least=0.5,
    )
    yield Row(
        f"tree building over {TREE_LEAVES:,} leaves beside C with SHA extensions, four streams",
        lambda r: _s(r, "build_tree_in_c") / r["build_tree_in_c"]["trees"] / _s(r, "build_tree"),
        ("build_tree", "build_tree_in_c"),
        at_least=0.1,
    )
    yield Row(
        "time of verifying a sealed day beside DuckDB decoding every column of its Parquet files",
        lambda r: _s(r, "verify") / _s(r, "decode"),
        ("verify", "decode"),
        at_most=5,
    )


def _seal_rows(sizes: Sizes) -> Iterator[Row]:
    what, full = (
        f"seal {sizes.sealed:,} records in {SOURCES:,} sources",
        _full(sizes.sealed, GOAL_SIZES.sealed, "records"),
    )
    hashed = "SHA-256 of its data files"
    needs = ("sources_seal", "hash_files")
    yield Row(what, lambda r: _s(r, needs[0]), needs, "s", None, 2, hashed, lambda r: _s(r, "hash_files"), full)
    yield _peak("peak memory of that seal", ("sources_seal",), 500, full)
    yield _peak("peak memory of ingest, seal and verify in this run", PEAKS, 1_000, "")


def _question_rows(sizes: Sizes) -> Iterator[Row]:
    one_by_one = "hashlib, one call a record"
    for key, verb in (("prove", "made"), ("check", "checked")):
        yield Row(
            f"inclusion proofs {verb} in bulk, {min(BUNDLED_RECORDS, sizes.lines):,} of {sizes.lines:,} records",
            partial(_records_per_s, key),
            (key, "hash_one_by_one"),
            "/s",
            at_least=50_000,
            beside=one_by_one,
            limit=partial(_records_per_s, "hash_one_by_one"),
        )
    yield Row(
        f"event lookup by id among those of {sizes.events:,} records, warm, 95th percentile",
        lambda r: float(r["find_event"]["p95_ms"]),
        ("find_event", "find_event_plainly"),
        "ms",
        at_most=50,
        beside="DuckDB on the bare Parquet files",
        limit=lambda r: float(r["find_event_plainly"]["p95_ms"]),
        full_size=_full(sizes.events, GOAL_SIZES.events, "records"),
    )


def _day_rows(sizes: Sizes) -> Iterator[Row]:
    is_full = (sizes.days, sizes.day_files) == (GOAL_SIZES.days, GOAL_SIZES.day_files)
    yield Row(
        f"daily run with nothing new, {sizes.days} sealed days, {sizes.day_files:,} files, beyond imports",
        lambda r: _s(r, "days"),
        ("days", "list_files"),
        "s",
        at_most=10,
        beside="listing these files",
        limit=lambda r: _s(r, "list_files"),
        full_size="" if is_full else f"{GOAL_SIZES.days} days, {GOAL_SIZES.day_files:,} files",
    )
    files = f"{sizes.small_files:,} files of a kilobyte"
    for key, verb in (("small", "ingest"), ("small_derive", "derive")):
        yield Row(f"{verb} {files}", partial(_files_per_s, sizes, key), (key,), "files/s")
    yield _rates("ingest of these files beside the same records in one file", "small", "joined")


def ideal_s(figures: Round) -> float:
    """Seconds that the parts of the ideal would take on all cores, if nothing ever waited."""
    return float(sum(figures[part]["cpu_seconds"] for part in IDEAL)) / cores()


def _rates(work: str, ours: str, other: str, at_least: float | None = None) -> Row:
    return Row(work, lambda r: _s(r, other) / _s(r, ours), (ours, other), at_least=at_least)


def _peak(work: str, keys: Sequence[str], at_most: float, full_size: str) -> Row:
    return Row(
        work,
        lambda r: max(r[key]["peak_bytes"] for key in keys) / 1e6,
        tuple(keys),
        "MB",
        at_most=at_most,
        beside="the process when it is ready",
        limit=lambda r: max(r[key]["ready_bytes"] for key in keys) / 1e6,
        full_size=full_size,
    )


def _full(measured: int, wanted: int, what: str) -> str:
    return "" if measured >= wanted else f"{wanted:,} {what}"


def _share_of_ingest(kind: str, figures: Round) -> float:
    alone = _s(figures, kind)
    return alone / (alone + _s(figures, f"{kind}_derive"))


def _records_per_s(key: str, figures: Round) -> float:
    return float(figures[key]["records"]) / _s(figures, key)


def _files_per_s(sizes: Sizes, key: str, figures: Round) -> float:
    return sizes.small_files / _s(figures, key)


def _s(figures: Round, key: str) -> float:
    return float(figures[key]["seconds"])
