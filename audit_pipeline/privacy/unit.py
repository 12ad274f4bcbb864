"""Whom the summaries protect, how many of their rows one summary sees, and over which days it looks.

Nothing here is taken from the data: bounds, windows and columns are declared, so that they say nothing of anybody.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Literal, get_args

from audit_pipeline.errors import PolicyError

Cadence = Literal["daily", "weekly"]
CADENCES: tuple[Cadence, ...] = get_args(Cadence)

SCOPE = "annotators"
"""All releases look at rows of the same people, so that they share one ledger and one budget."""

RHO_CAP = Fraction(1)
"""No policy may allow more in a period: epsilon about 7.8 at delta 1e-6."""

KEY_COLUMNS = ("question", "kind", "outcome", "status", "value_text")
NUMBER_COLUMNS = ("value_num", "strength", "lead_time_s")
"""Columns of `annotations` that come from the annotator's own hand in that row, and so are covered by the promise."""

PROTECTED_TABLE = "annotations"
MODEL_DERIVED_TABLES = ("generations", "reward_scores", "training_metrics", "policy_updates", "model_checkpoints")
"""What training made of annotators' work. One annotator may have moved every row, so that no bound can be derived."""


@dataclass(frozen=True, slots=True)
class ProtectedUnit:
    """One annotator: all their rows of `annotations`, in all windows of an accounting period.

    A summary of one window sees at most `max_rows` of them, whose choice depends on no value. They enter at most
    `max_windows` windows of a cadence in a period.
    """

    max_rows: int
    max_windows: int
    kinds: tuple[str, ...] = ("human",)
    """Values of `annotator_kind` that are people. A model that judges is none, and its rows are left out."""
    statuses: tuple[str, ...] = ("submitted", "unknown")
    """Values of `status` that count as work that was handed in."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_rows <= 10_000:
            raise PolicyError(f"max_rows {self.max_rows}: expected 1 to 10000, near what nine of ten annotators make")
        if not 1 <= self.max_windows <= 366:
            raise PolicyError(f"max_windows {self.max_windows}: expected 1 to 366 windows of a year")
        if not set(self.kinds) <= {"human", "unknown"} or not self.kinds:
            raise PolicyError(
                f"annotator kinds {list(self.kinds)}: expected human, unknown or both: models are no people"
            )


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """The days that one release looks at: a UTC day, or a week from Monday. A row's day is the day of its source."""

    cadence: Cadence
    first: date

    def __post_init__(self) -> None:
        if self.cadence == "weekly" and self.first.weekday() != 0:
            raise PolicyError(f"weekly window {self.first}: expected a Monday")

    @property
    def last(self) -> date:
        return self.first + timedelta(days=6 if self.cadence == "weekly" else 0)

    @property
    def period(self) -> str:
        """The accounting period, a calendar year. A week belongs to the year of its Monday, with all its days."""
        return str(self.first.year)

    def __str__(self) -> str:
        return f"{self.cadence} window {self.first}"
