"""A release: declared questions about one window's rows, answered together, once, for one price."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from audit_pipeline.errors import PolicyError
from audit_pipeline.privacy import mechanisms
from audit_pipeline.privacy.mechanisms import Noise
from audit_pipeline.privacy.numbers import Number
from audit_pipeline.privacy.price import NOTHING, Budget, Price
from audit_pipeline.privacy.statistics import AnyStatistic, DiscoveredKeys, check_cells, check_column
from audit_pipeline.privacy.unit import CADENCES, KEY_COLUMNS, RHO_CAP, SCOPE, Cadence, ProtectedUnit, Window
from audit_pipeline.records import canonical

if TYPE_CHECKING:
    from audit_pipeline.privacy.rows import BoundedRows  # loads DuckDB, which reading a policy does without

Exact = list[int] | dict[str, int]
"""What must not be seen."""


@dataclass(frozen=True, slots=True)
class Question:
    """One statistic of a release, over the bounded rows whose columns have one of the values in `where`."""

    name: str
    statistic: AnyStatistic
    rho: Fraction
    """The most that it may cost."""
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for column, values in self.where.items():
            check_column(column, KEY_COLUMNS)
            check_cells(values)

    @property
    def columns(self) -> set[str]:
        return {*self.statistic.columns, *self.where}


@dataclass(frozen=True, slots=True)
class Mechanism:
    """How a question's exact integers get their noise, and what that costs."""

    scale: float
    threshold: int | None
    price: Price


@dataclass(frozen=True, slots=True)
class Release:
    """What is published of each window of a cadence, and again so many days after its end as `revisions` says.

    A window is frozen once it is published: rows that come late are seen by a revision, whose day no data decides.
    """

    name: str
    cadence: Cadence
    unit: ProtectedUnit
    questions: tuple[Question, ...]
    revisions: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        names = [question.name for question in self.questions]
        if not names or len({*names}) != len(names):
            raise PolicyError(f"release {self.name}: expected statistics with different names, got {names}")
        if any(days < 1 for days in self.revisions) or sorted({*self.revisions}) != list(self.revisions):
            raise PolicyError(f"release {self.name}: revisions {list(self.revisions)}: expected days that go up")

    @property
    def rho(self) -> Fraction:
        """The most that one draw of one window may cost."""
        return sum((question.rho for question in self.questions), Fraction(0))

    @property
    def delta(self) -> Fraction:
        """The chance of naming a rare key in one draw, at most."""
        deltas = (q.statistic.delta for q in self.questions if isinstance(q.statistic, DiscoveredKeys))
        return sum(map(Fraction, deltas), Fraction(0))

    @property
    def columns(self) -> set[str]:
        return set[str]().union(*(question.columns for question in self.questions))

    def mechanism(self, question: Question) -> Mechanism:
        statistic = question.statistic
        sensitivity = statistic.sensitivity(self.unit.max_rows)
        scale = mechanisms.scale_for(sensitivity, question.rho)
        if not isinstance(statistic, DiscoveredKeys):
            return Mechanism(scale, None, mechanisms.gaussian_price(sensitivity, scale))
        threshold = mechanisms.threshold_for(statistic.max_keys, scale, statistic.delta)
        return Mechanism(scale, threshold, mechanisms.threshold_price(statistic.max_keys, scale, threshold))

    def price(self) -> Price:
        """What one draw costs, by the maps of its mechanisms: not more than `rho`."""
        return sum((self.mechanism(question).price for question in self.questions), NOTHING)

    def exact(self, rows: "BoundedRows") -> dict[str, Exact]:
        """The exact integers by question."""
        return {question.name: question.statistic.exact(rows.where(question.where)) for question in self.questions}

    def draw(self, exact: Mapping[str, Exact], noise: Noise) -> dict[str, list[Number]]:
        """What may be published, by question. Each call costs `price`, whatever becomes of what it gives."""
        drawn = {}
        for question in self.questions:
            mechanism, cells = self.mechanism(question), exact[question.name]
            statistic, scale = question.statistic, mechanism.scale
            if isinstance(statistic, DiscoveredKeys):
                assert isinstance(cells, dict)
                assert mechanism.threshold is not None
                counted = noise.thresholded(cells, scale, mechanism.threshold)
                drawn[question.name] = statistic.published(counted, scale)
            else:
                assert isinstance(cells, list)
                drawn[question.name] = statistic.published(noise.gaussian(cells, scale), scale)
        return drawn

    def spec(self) -> dict[str, Any]:
        """All of the declaration that says what is drawn, as plain values."""
        return {
            "release": self.name,
            "cadence": self.cadence,
            "unit": plain(asdict(self.unit)),
            "statistics": [
                {
                    "name": question.name,
                    "statistic": question.statistic.kind,
                    **plain(asdict(question.statistic)),
                    "where": plain(question.where),
                    "rho": str(question.rho),
                }
                for question in self.questions
            ],
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is released, and the budget that all of it together must keep to."""

    start: date
    budget: Budget
    releases: tuple[Release, ...]

    def __post_init__(self) -> None:
        names = [release.name for release in self.releases]
        if len({*names}) != len(names):
            raise PolicyError(f"releases {names}: expected different names")
        if not self.releases or not 0 < self.budget.delta <= 1e-4:
            raise PolicyError(f"budget: expected a release, and a delta of at most 1e-4, got {self.budget.delta}")
        if self.budget.rho > RHO_CAP:
            raise PolicyError(f"budget: rho {float(self.budget.rho):g}: no period may cost more than {RHO_CAP}")
        full = self._of_a_full_period()
        if full.rho > self.budget.rho or full.delta > self.budget.threshold_delta:
            raise PolicyError(
                f"budget: a full period of these releases costs rho {float(full.rho):.4g} and threshold_delta "
                f"{float(full.delta):.3g}, which is more than {float(self.budget.rho):.4g} and "
                f"{float(self.budget.threshold_delta):.3g}; lower rho, delta, max_windows or revisions"
            )

    def _of_a_full_period(self) -> Price:
        """What one annotator loses at most when every window is released, with its revisions, at the first attempt."""
        total = NOTHING
        for cadence in CADENCES:
            mine = [release for release in self.releases if release.cadence == cadence]
            draws = [(release, 1 + len(release.revisions)) for release in mine]
            windows = max((release.unit.max_windows for release in mine), default=0)
            rho = sum((release.rho * n for release, n in draws), Fraction(0))
            total += Price(windows * rho, windows * sum((release.delta * n for release, n in draws), Fraction(0)))
        return total


def release_key(release: Release, window: Window, revision: int) -> str:
    """Names a release of a window, hex. Not by the content of its rows: late ones would then cause another draw."""
    named = {"scope": SCOPE, "window": str(window), "revision": revision, "spec": release.spec()}
    return hashlib.sha256(b"audit-release/v1\n" + canonical.dump_canonical(named)).hexdigest()


def plain(value: Any) -> Any:
    """Tuples as lists, which JSON gives back."""
    if isinstance(value, Mapping):
        return {key: plain(member) for key, member in value.items()}
    return [plain(member) for member in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
