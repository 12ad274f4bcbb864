"""The statistics that can be declared, each with its exact integers and how far one annotator can move them.

`exact` gives a vector of integers from SQL over `chosen`, rows of which each annotator has at most `max_rows`. With one
annotator more or less it moves by at most the root of `sensitivity` (L2; the square is an exact integer). That follows
from the declaration alone and is derived beside the query, so that both can be read at once. What cannot be declared
here has no derivation, and is refused. `published` is what is said of the vector when each cell has noise of standard
deviation `sigma`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, get_args

from audit_pipeline.errors import PolicyError
from audit_pipeline.privacy import numbers
from audit_pipeline.privacy.numbers import Number
from audit_pipeline.privacy.sql import Query, text, texts
from audit_pipeline.privacy.unit import KEY_COLUMNS, NUMBER_COLUMNS

FIXED_POINT = 1 << 16
"""One annotator's whole weight where it is spread over cells, and the unit of numbers: no float is ever summed."""

MOST_CELLS = 1000
_OUTCOMES = 1 << 16


@dataclass(frozen=True, slots=True)
class Count:
    """Judgements, at most `max_rows` an annotator."""

    kind: ClassVar[str] = "count"

    @property
    def columns(self) -> tuple[str, ...]:
        return ()

    def sensitivity(self, max_rows: int) -> int:
        return max_rows**2

    def exact(self, query: Query) -> list[int]:
        return [int(n) for (n,) in query("SELECT count(*) FROM chosen")]

    def published(self, noisy: Sequence[int], sigma: float) -> list[Number]:
        return [numbers.count("", noisy[0], sigma)]


@dataclass(frozen=True, slots=True)
class DistinctAnnotators:
    """Annotators with at least one judgement."""

    kind: ClassVar[str] = "distinct_annotators"

    @property
    def columns(self) -> tuple[str, ...]:
        return ()

    def sensitivity(self, max_rows: int) -> int:
        return 1

    def exact(self, query: Query) -> list[int]:
        return [int(n) for (n,) in query("SELECT count(DISTINCT annotator) FROM chosen")]

    def published(self, noisy: Sequence[int], sigma: float) -> list[Number]:
        return [numbers.count("", noisy[0], sigma)]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Judgements by the declared `keys` of a column; rows with other values are in no cell."""

    kind: ClassVar[str] = "histogram"
    column: str
    keys: tuple[str, ...]

    def __post_init__(self) -> None:
        check_column(self.column, KEY_COLUMNS)
        check_cells(self.keys)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def sensitivity(self, max_rows: int) -> int:
        return max_rows**2  # all rows of one annotator may be in one cell

    def exact(self, query: Query) -> list[int]:
        sql = f"SELECT {self.column}, count(*) FROM chosen WHERE {self.column} IN {texts(self.keys)} GROUP BY ALL"
        found: dict[str, int] = dict(query(sql))
        return [int(found.get(key, 0)) for key in self.keys]

    def published(self, noisy: Sequence[int], sigma: float) -> list[Number]:
        return [numbers.count(key, n, sigma) for key, n in zip(self.keys, noisy, strict=True)]


@dataclass(frozen=True, slots=True)
class WinRate:
    """How often the first model of each declared pair was preferred to the second; a tie is half a win for each.

    Each annotator has one vote, spread evenly over their judgements of the declared pairs, whichever side was shown
    first. Cells: votes for the first, for the second, for neither, of each pair.
    """

    kind: ClassVar[str] = "win_rate"
    pairs: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        if any((len(pair), len({*pair})) != (2, 2) for pair in self.pairs):
            raise PolicyError("pairs: expected two different models in each")
        check_cells([tuple(sorted(pair)) for pair in self.pairs], each=3)

    @property
    def columns(self) -> tuple[str, ...]:
        return ("model_a", "model_b", "outcome")

    def sensitivity(self, max_rows: int) -> int:
        # n rows of an annotator have FIXED_POINT // n each, FIXED_POINT together at most: L2 <= L1 <= FIXED_POINT.
        return FIXED_POINT**2

    def exact(self, query: Query) -> list[int]:
        cells = ", ".join(f"({', '.join(map(text, said))}, {n})" for said, n in self._cells().items())
        sql = f"""
            , cells(model_a, model_b, outcome, cell) AS (VALUES {cells}),
            judged AS (SELECT annotator, cell FROM chosen JOIN cells USING (model_a, model_b, outcome)),
            votes AS (SELECT annotator, {FIXED_POINT} // count(*) AS vote FROM judged GROUP BY annotator)
            SELECT cell, sum(vote)::BIGINT FROM judged JOIN votes USING (annotator) GROUP BY cell"""
        found: dict[int, int] = dict(query(sql))
        return [int(found.get(n, 0)) for n in range(3 * len(self.pairs))]

    def published(self, noisy: Sequence[int], sigma: float) -> list[Number]:
        made = []
        for n, pair in enumerate(self.pairs):
            cells = list(zip((1.0, 0.0, 0.5), (1.0,) * 3, noisy[3 * n : 3 * n + 3], strict=True))
            made.append(numbers.ratio(" / ".join(pair), cells, sigma, 0.0))
        return made

    def _cells(self) -> dict[tuple[str, str, str], int]:
        """The one cell of what a row says: who was shown as a, as b, and which of them won."""
        cells: dict[tuple[str, str, str], int] = {}
        for n, (first, second) in enumerate(self.pairs):
            for a, b, wins in ((first, second, "ab"), (second, first, "ba")):
                cells |= {
                    (a, b, won): 3 * n + at for won, at in zip((*wins, "tie", "both_bad"), (0, 1, 2, 2), strict=True)
                }
        return cells


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean over annotators of their own mean of a column, each value clipped to `lower` and `upper`.

    Cells: the sum of annotators' means, as fixed-point distance from the middle, and the number of annotators.
    """

    kind: ClassVar[str] = "mean"
    column: str
    lower: float
    upper: float

    def __post_init__(self) -> None:
        check_column(self.column, NUMBER_COLUMNS)
        check_edges((self.lower, self.upper))

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def sensitivity(self, max_rows: int) -> int:
        return 2 * FIXED_POINT**2  # both cells move by at most FIXED_POINT

    def exact(self, query: Query) -> list[int]:
        middle, half = (self.lower + self.upper) / 2, (self.upper - self.lower) / 2
        clipped = f"least(greatest({self.column}, {self.lower!r}::DOUBLE), {self.upper!r}::DOUBLE)"
        fixed = f"trunc(({clipped} - {middle!r}) / {half!r} * {FIXED_POINT})"
        # Clipped once more as integers: the division of doubles may come out a hair above one.
        fixed = f"least(greatest({fixed}::BIGINT, {-FIXED_POINT}), {FIXED_POINT})"
        sql = f"""
            SELECT coalesce(sum(mean), 0)::BIGINT, count(*) FROM (
                SELECT sum({fixed})::BIGINT // count(*) AS mean FROM chosen
                WHERE {self.column} IS NOT NULL AND NOT isnan({self.column}) GROUP BY annotator
            )"""
        return [n for total, annotators in query(sql) for n in (int(total), int(annotators) * FIXED_POINT)]

    def published(self, noisy: Sequence[int], sigma: float) -> list[Number]:
        number = numbers.ratio("", [(1.0, 0.0, noisy[0]), (0.0, 1.0, noisy[1])], sigma, -1.0)
        return [numbers.scaled(number, (self.lower + self.upper) / 2, (self.upper - self.lower) / 2)]


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Quantiles over annotators of their own median of a column, by a histogram with the declared `edges`.

    Values outside the edges count as in the first or last bin. Cells: annotators by the bin of their (lower) median.
    """

    kind: ClassVar[str] = "quantiles"
    column: str
    edges: tuple[float, ...]
    quantiles: tuple[float, ...]

    def __post_init__(self) -> None:
        check_column(self.column, NUMBER_COLUMNS)
        check_edges(self.edges)
        check_cells(self.edges)
        if not self.quantiles or not all(0 < q < 1 for q in self.quantiles):
            raise PolicyError(f"quantiles {list(self.quantiles)}: expected numbers between 0 and 1")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def sensitivity(self, max_rows: int) -> int:
        return 1

    def exact(self, query: Query) -> list[int]:
        inner = self.edges[1:-1]
        bin_ = " + ".join(["0", *(f"({self.column} >= {edge!r}::DOUBLE)::INTEGER" for edge in inner)])
        sql = f"""
            SELECT median, count(*) FROM (
                SELECT quantile_disc({bin_}, 0.5) AS median FROM chosen
                WHERE {self.column} IS NOT NULL AND NOT isnan({self.column}) GROUP BY annotator
            ) GROUP BY ALL"""
        found: dict[int, int] = dict(query(sql))
        return [int(found.get(n, 0)) for n in range(len(self.edges) - 1)]

    def published(self, noisy: Sequence[int], sigma: float) -> list[Number]:
        return [numbers.quantile(q, self.edges, noisy, sigma) for q in self.quantiles]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often two annotators gave the same outcome on one item: those with its least and its greatest hash.

    An item is what one source calls by one `item_id` and question. Cells: items where they agree, items with two.
    """

    kind: ClassVar[str] = "agreement"

    @property
    def columns(self) -> tuple[str, ...]:
        return ("item", "outcome")

    def sensitivity(self, max_rows: int) -> int:
        # An annotator is on at most max_rows items. On each they may change who the two are, and so whether they
        # agree, or make the item one with two: (agree, with two) moves by at most (1, 1).
        return 2 * max_rows**2

    def exact(self, query: Query) -> list[int]:
        # A judgement as one number, its hash with the outcome's in the last digits: least and greatest of numbers are
        # found in a third of the time of outcomes by hash. Two outcomes that fell together would look alike.
        judgement = f"hash - hash % {_OUTCOMES} + hash(outcome) % {_OUTCOMES}"
        sql = f"""
            SELECT count(*) FILTER (one % {_OUTCOMES} = other % {_OUTCOMES}), count(*) FROM (
                SELECT min(judgement) AS one, max(judgement) AS other FROM (
                    SELECT item, annotator, min({judgement}) AS judgement
                    FROM chosen WHERE outcome IS NOT NULL AND item IS NOT NULL GROUP BY item, annotator
                ) GROUP BY item HAVING count(*) > 1
            )"""
        return [n for agree, with_two in query(sql) for n in (int(agree), int(with_two))]

    def published(self, noisy: Sequence[int], sigma: float) -> list[Number]:
        return [numbers.ratio("", [(1.0, 0.0, noisy[0]), (0.0, 1.0, noisy[1])], sigma, 0.0)]


@dataclass(frozen=True, slots=True)
class DiscoveredKeys:
    """Values of a column that enough annotators gave, with about how many; of each annotator `max_keys` values.

    The one statistic whose keys are not declared: those of too few annotators are never named, but with probability
    `delta` a release. `exact` gives annotators by key, of which one annotator moves `max_keys` cells by one.
    """

    kind: ClassVar[str] = "discovered_keys"
    column: str
    max_keys: int
    delta: float

    def __post_init__(self) -> None:
        check_column(self.column, KEY_COLUMNS)
        if not 1 <= self.max_keys <= MOST_CELLS:
            raise PolicyError(f"max_keys {self.max_keys}: expected 1 to {MOST_CELLS} values of one annotator")
        if not 0 < self.delta <= 1e-6:
            raise PolicyError(f"delta {self.delta}: expected at most 1e-6; 1e-9 for each of many releases")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def sensitivity(self, max_rows: int) -> int:
        return self.max_keys

    def exact(self, query: Query) -> dict[str, int]:
        # Most annotators gave no value too many, so that few values are put in order.
        sql = f"""
            , gave AS MATERIALIZED (
                SELECT annotator, {self.column} AS key, min(hash) AS hash FROM chosen
                WHERE {self.column} IS NOT NULL GROUP BY ALL
            ), many AS (SELECT annotator FROM gave GROUP BY annotator HAVING count(*) > {self.max_keys})
            SELECT key, count(*) FROM (
                SELECT key FROM gave WHERE annotator NOT IN (FROM many) UNION ALL
                SELECT unnest(arg_min(key, hash, {self.max_keys})) FROM gave WHERE annotator IN (FROM many)
                GROUP BY annotator
            ) GROUP BY ALL"""
        return {str(key): int(n) for key, n in query(sql)}

    def published(self, noisy: dict[str, int], sigma: float) -> list[Number]:
        return [numbers.count(key, n, sigma) for key, n in sorted(noisy.items())]


AnyStatistic = Count | DistinctAnnotators | Histogram | WinRate | Mean | Quantiles | Agreement | DiscoveredKeys

KINDS: dict[str, type[AnyStatistic]] = {kind.kind: kind for kind in get_args(AnyStatistic)}
"""All there are, by the name that YAML calls them."""


def check_column(column: str, allowed: Sequence[str]) -> None:
    if column not in allowed:
        raise PolicyError(
            f"column {column!r}: how far one annotator can move it cannot be derived; give one of {', '.join(allowed)}"
        )


def check_cells(keys: Sequence[object], each: int = 1) -> None:
    if not 1 <= len(keys) * each <= MOST_CELLS or len({*keys}) != len(keys):
        raise PolicyError(f"expected 1 to {MOST_CELLS} cells, all different, got {len(keys) * each}")


def check_edges(edges: Sequence[float]) -> None:
    if len(edges) < 2 or not all(abs(edge) < 1e15 for edge in edges) or not all(a < b for a, b in pairwise(edges)):
        raise PolicyError(f"bounds {list(edges)}: expected finite numbers that go up")
