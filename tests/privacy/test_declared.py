"""What may be declared: everything whose sensitivity is derived, within its budget, and nothing else."""

from pathlib import Path

import pytest

from audit_pipeline.errors import PolicyError
from audit_pipeline.policy import init_project, load_policy


@pytest.fixture
def file(tmp_path: Path) -> Path:
    init_project(tmp_path / "project")
    return tmp_path / "project/assets/privacy/defs.yaml"


def declare(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    load_policy(file.parents[2], {})


REFUSED = {
    "a statistic without a derivation": (
        "statistic: count",
        "statistic: maximum",
        "how far one annotator can move it is not derived here; give one of count, ",
    ),
    "rows that models made": (
        "window: weekly",
        "window: weekly\n      table: reward_scores",
        "reward_scores is derived from models: one annotator may have moved every row",
    ),
    "another table": (
        "window: weekly",
        "window: weekly\n      table: records",
        "table 'records': expected annotations",
    ),
    "a column that others write": ("column: outcome", "column: item_id", "column 'item_id': how far one annotator"),
    "a filter on a column that others write": ("kind: [pairwise]", "item_id: ['1']", "column 'item_id'"),
    "models as people": ("[human]", "[human, model]", "models are no people"),
    "shares that are more than all": ("share: 1/8", "share: 1/2", "the shares of its statistics are more than 1"),
    "a year that costs more than its budget": (
        "max_windows: 52",
        "max_windows: 53",
        "costs rho 0.5088 and threshold_delta 5.3e-08, which is more than 0.5",
    ),
    "revisions that are not paid for": (
        "max_windows: 52",
        "max_windows: 52\n      revisions: [30]",
        "costs rho 0.9984",
    ),
    "rare keys beyond their chance": ("1/10000000", "1/100000000", "threshold_delta 5.2e-08, which is more than"),
    "a budget above the cap": ("rho: 0.5", "rho: 1.5", "no period may cost more than 1"),
    "a statistic without what it needs": (
        ", keys: [a, b, tie, both_bad]",
        "",
        "outcomes: histogram needs column, keys",
    ),
    "a statistic with what it does not need": (
        "statistic: count, share: 1/4",
        "statistic: count, share: 1/4, column: outcome",
        "judgements: count needs nothing beside name, share and where; got column",
    ),
    "no bound": ("      max_rows: 50\n", "", "max_rows"),
    "a bound of nothing": ("max_rows: 50", "max_rows: 0", "max_rows 0: expected 1 to 10000"),
    "the same cell twice": ("[a, b, tie, both_bad]", "[a, a]", "all different"),
    "two statistics of one name": ("name: judgements", "name: annotators", "statistics with different names"),
    "a price that is no number": ("rho: 0.0096", "rho: little", "expected a number such as 0.0096"),
    "another start than the logs'": ("2026-01-01", "2026-02-01", "give both the same"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_with_the_file(what: str, file: Path) -> None:
    old, new, said = REFUSED[what]

    with pytest.raises(PolicyError) as refused:
        declare(file, old, new)

    assert said in str(refused.value)
    assert str(file.parents[1]) in str(refused.value)


def test_the_shipped_policy_spends_the_years_budget_in_52_weeks(file: Path) -> None:
    plan = load_policy(file.parents[2], {}).summaries

    assert plan is not None
    (release,) = plan.releases
    assert plan.budget.rho - release.rho * release.unit.max_windows < release.rho


@pytest.mark.parametrize(
    ("statistic", "sensitivity"),
    [
        ("{statistic: mean, column: value_num, lower: 1, upper: 5}", 2 * 65536**2),
        ("{statistic: quantiles, column: lead_time_s, edges: [0, 10, 60], quantiles: [0.5]}", 1),
        ("{statistic: win_rate, pairs: [[a, b], [a, c]]}", 65536**2),
        ("{statistic: agreement}", 2 * 50**2),
    ],
)
def test_the_other_statistics_can_be_declared(file: Path, statistic: str, sensitivity: int) -> None:
    line = "{name: judgements, statistic: count, share: 1/4}"

    declare(file, line, "{name: judgements, share: 1/4, " + statistic[1:])

    plan = load_policy(file.parents[2], {}).summaries
    assert plan is not None
    assert plan.releases[0].questions[1].statistic.sensitivity(50) == sensitivity
