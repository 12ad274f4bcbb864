"""What the YAML of the component PrivacySummaries may say, and the plan that follows from it."""

import re
from dataclasses import fields
from fractions import Fraction
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from audit_pipeline.errors import PolicyError
from audit_pipeline.policy.models import Start
from audit_pipeline.privacy.price import Budget
from audit_pipeline.privacy.release import Plan, Question, Release
from audit_pipeline.privacy.statistics import KINDS
from audit_pipeline.privacy.unit import MODEL_DERIVED_TABLES, PROTECTED_TABLE, Cadence, ProtectedUnit

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def parse_fraction(value: object) -> str:
    """The text of an exact number: 0.0096, 1/8 or 1e-9, as it is written, not as the double nearest to it."""
    try:
        Fraction(str(value))
    except (ValueError, ZeroDivisionError) as err:
        raise ValueError(f"{value!r}: expected a number such as 0.0096, 1/8 or 1e-9") from err
    return str(value)


def check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r}: expected lower-case letters, digits or '_', a letter first, at most 63")
    return name


class BudgetAttributes(BaseModel):
    """What a calendar year may cost one annotator at most."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rho: str | float = Field(description="Zero-concentrated privacy loss; at most 1.")
    delta: float = Field(default=1e-6, description="At which rho is told as an epsilon, too.")
    threshold_delta: str | float = Field(default="1e-7", description="Sum of the chances that a rare key is named.")

    _exact = field_validator("rho", "threshold_delta", mode="before")(parse_fraction)

    def budget(self) -> Budget:
        return Budget(Fraction(self.rho), self.delta, Fraction(self.threshold_delta))


class StatisticAttributes(BaseModel):
    """One question of a release."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Lower-case name of what is published.")
    statistic: str = Field(description=f"What is asked: {', '.join(KINDS)}.")
    share: str | float = Field(description="Share of the release's rho, such as 1/8.")
    where: dict[str, list[str]] = Field(default_factory=dict, description="Only rows whose columns have these values.")
    column: str | None = Field(default=None, description="Of histogram, mean, quantiles and discovered_keys.")
    keys: list[str] | None = Field(default=None, description="Of histogram: the values that are counted.")
    pairs: list[list[str]] | None = Field(default=None, description="Of win_rate: names of two models each.")
    lower: float | None = Field(default=None, description="Of mean: values below count as this.")
    upper: float | None = Field(default=None, description="Of mean: values above count as this.")
    edges: list[float] | None = Field(default=None, description="Of quantiles: edges of the bins, going up.")
    quantiles: list[float] | None = Field(default=None, description="Of quantiles: which, such as 0.5.")
    max_keys: int | None = Field(default=None, description="Of discovered_keys: values of one annotator that count.")
    delta: float | None = Field(default=None, description="Of discovered_keys: chance of naming a rare value.")

    _named = field_validator("name")(check_name)
    _exact = field_validator("share", mode="before")(parse_fraction)

    def question(self, rho: Fraction) -> Question:
        """The question, for its share of a release's rho.

        Raises:
            PolicyError: there is no such statistic, or something of it is missing, too much or out of bounds.
        """
        kind = KINDS.get(self.statistic)
        if kind is None:
            raise PolicyError(
                f"{self.name}: statistic {self.statistic!r}: how far one annotator can move it is not derived here; "
                f"give one of {', '.join(KINDS)}"
            )
        said = self.model_dump(exclude={"name", "statistic", "share", "where"}, exclude_none=True)
        wanted = {field.name for field in fields(kind)}
        if said.keys() != wanted:
            found = ", ".join(sorted(said.keys())) or "nothing"
            raise PolicyError(
                f"{self.name}: {self.statistic} needs {', '.join(sorted(wanted)) or 'nothing'} beside name, share and "
                f"where; got {found}"
            )
        try:
            where = {column: tuple(values) for column, values in self.where.items()}
            return Question(self.name, kind(**_tuples(said)), rho * Fraction(self.share), where)
        except PolicyError as err:
            raise PolicyError(f"{self.name}: {err}") from err


class ReleaseAttributes(BaseModel):
    """What is published of each window."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Lower-case name; also that of the asset.")
    table: str = Field(default=PROTECTED_TABLE, description="Table of the rows; annotations is the only one.")
    window: Cadence = Field(description="daily or weekly (from Monday).")
    rho: str | float = Field(description="What one window costs one annotator at most, all statistics together.")
    max_rows: int = Field(description="Rows of one annotator that a window counts: public, near what most make.")
    max_windows: int = Field(description="Windows that one annotator may enter in a calendar year.")
    revisions: list[int] = Field(default_factory=list, description="Released again so many days after its end.")
    statistics: list[StatisticAttributes] = Field(description="What is asked.")

    _named = field_validator("name")(check_name)
    _exact = field_validator("rho", mode="before")(parse_fraction)

    def release(self, kinds: tuple[str, ...], statuses: tuple[str, ...]) -> Release:
        if self.table in MODEL_DERIVED_TABLES:
            raise PolicyError(
                f"release {self.name}: {self.table} is derived from models: one annotator may have moved every row, so "
                f"no sensitivity can be derived; give table: {PROTECTED_TABLE}"
            )
        if self.table != PROTECTED_TABLE:
            raise PolicyError(f"release {self.name}: table {self.table!r}: expected {PROTECTED_TABLE}")
        rho = Fraction(self.rho)
        if rho <= 0 or any(Fraction(one.share) <= 0 for one in self.statistics):
            raise PolicyError(f"release {self.name}: rho and shares: expected numbers above 0")
        if sum(Fraction(one.share) for one in self.statistics) > 1:
            raise PolicyError(f"release {self.name}: the shares of its statistics are more than 1 together")
        unit = ProtectedUnit(self.max_rows, self.max_windows, kinds, statuses)
        questions = tuple(statistic.question(rho) for statistic in self.statistics)
        return Release(self.name, self.window, unit, questions, tuple(self.revisions))


class PrivacySummariesAttributes(BaseModel):
    """The attributes of the component PrivacySummaries."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Start
    budget: BudgetAttributes
    annotator_kinds: list[str] = ["human"]
    statuses: list[str] = ["submitted", "unknown"]
    releases: list[ReleaseAttributes]

    @model_validator(mode="after")
    def _keeps_to_its_budget(self) -> Self:
        try:
            self.plan()
        except PolicyError as err:
            raise ValueError(str(err)) from err
        return self

    def plan(self) -> Plan:
        """The plan.

        Raises:
            PolicyError: something of it has no derivation, or it costs more than its budget.
        """
        kinds, statuses = tuple(self.annotator_kinds), tuple(self.statuses)
        releases = tuple(release.release(kinds, statuses) for release in self.releases)
        return Plan(self.start, self.budget.budget(), releases)


def _tuples(said: dict[str, Any]) -> dict[str, Any]:
    """Lists as tuples, all the way down: what is declared does not change."""

    def frozen(value: Any) -> Any:
        return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value

    return {name: frozen(value) for name, value in said.items()}
