"""How much each work of one run of the benchmark is given."""

from dataclasses import dataclass

SOURCES = 1_000
BUNDLED_RECORDS = 50_000
TREE_LEAVES = 1_000_000
MALFORMED_EVERY = 1_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """Counts of records where nothing else is said."""

    lines: int
    """In the one file that ingest and the plain tools are given."""
    rollouts: int
    metrics: int
    """Lines, of a hundred metrics each."""
    sealed: int
    """In 1,000 sources of one day."""
    events: int
    """Rollouts whose events are looked up by id."""
    small_files: int
    days: int
    day_files: int
    """On all days together."""


GOAL_SIZES = Sizes(10_000_000, 10_000_000, 500_000, 10_000_000, 10_000_000, 100_000, 365, 100_000)
"""What the goals are about. Goals that are ratios hold at any size."""


def sizes_for(records: int, *, is_full: bool) -> Sizes:
    """The works of a run in which the plain tools write `records`. `is_full`: what has a stated size gets it."""
    full = GOAL_SIZES if is_full else None
    return Sizes(
        lines=records,
        rollouts=max(records // 10, 1_000),
        metrics=max(records // 100, 100),
        sealed=full.sealed if full else max(records, SOURCES),
        events=full.events if full else max(records // 10, 1_000),
        small_files=max(records // 400, 10),
        days=full.days if full else 20,
        day_files=full.day_files if full else max(records // 100, 20),
    )
