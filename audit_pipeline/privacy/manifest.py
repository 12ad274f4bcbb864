"""The manifest of a release: what was drawn and what it costs, so that anybody can work out the privacy loss again.

Its sections are those of a record of the OpenDP deployments registry, tier 3; `statistics` has the numbers from which
each sensitivity and price follows. It says nothing exact of the rows.
"""

from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Any

from audit_pipeline.privacy.ledger import Reservation
from audit_pipeline.privacy.mechanisms import epsilon_at
from audit_pipeline.privacy.price import Budget
from audit_pipeline.privacy.release import Release
from audit_pipeline.privacy.statistics import FIXED_POINT

MANIFEST_VERSION = 1

_TEXTS: Mapping[str, Mapping[str, str]] = {
    "dp_variant": {
        "variant_name": "zCDP",
        "data_domain": "rows of the table annotations, of which some may be anybody's",
        "unprotected_quantities": "whether and when a release was made, its questions, bounds and windows, its price",
    },
    "deployment_model": {
        "model_name": "Central",
        "trust_assumptions": "whoever reads restricted tables, the ledger, logs or the process's memory is trusted",
        "actors": "annotators; the team that runs the pipeline; readers of released tables",
        "release_type": "Many releases",
        "data_source_type": "Dynamic",
        "access_type": "Non-interactive",
    },
    "implementation": {
        "preprocessing_and_hyperparameter_tuning": "bounds are declared, never taken from the data; rows are chosen by "
        "a keyed hash of their names",
        "mechanisms": "discrete Gaussian on integers (OpenDP make_gaussian); on unknown keys with a threshold "
        "(make_gaussian_threshold)",
        "composition": "sequential over statistics, releases, revisions and attempts of a window, and over windows, of "
        "which one annotator enters at most max_windows",
        "post_processing": "ratios, quantiles and intervals are worked out from the noisy integers alone",
        "justification": "sensitivity is derived from the declaration; price is the map of the mechanism",
    },
}


def manifest(release: Release, reservation: Reservation, budget: Budget, published_at: datetime) -> dict[str, Any]:
    """The manifest of the release that a reservation pays for."""
    unit, window, price = release.unit, reservation.window, reservation.price
    return {
        "manifest_version": MANIFEST_VERSION,
        "basic": {
            "name": release.name,
            "data_product_type": "Summary statistics",
            "publication_date": published_at.date().isoformat(),
            "window": {"cadence": window.cadence, "first": window.first.isoformat(), "last": window.last.isoformat()},
            "revision": reservation.revision,
        },
        "privacy_loss": {
            "privacy_unit": "one annotator, all their rows in one accounting period",
            "privacy_unit_details": {
                "column": "annotator_id",
                "annotator_kinds": list(unit.kinds),
                "statuses": list(unit.statuses),
                "max_rows": unit.max_rows,
                "max_windows": unit.max_windows,
                "period": reservation.period,
            },
            "privacy_parameters": {"rho": str(price.rho), "delta": str(price.delta)},
            "period_budget": {
                "rho": str(budget.rho),
                "threshold_delta": str(budget.threshold_delta),
                "delta": budget.delta,
                "epsilon": epsilon_at(budget.rho, budget.delta),
            },
        },
        **{section: dict(texts) for section, texts in _TEXTS.items()},
        "statistics": [_statistic(release, number) for number in range(len(release.questions))],
        "software": {"library": "opendp", "version": version("opendp"), "fixed_point": FIXED_POINT},
        "reservation": {"number": reservation.number, "attempt": reservation.attempt, "input": reservation.input},
    }


def _statistic(release: Release, number: int) -> dict[str, Any]:
    question = release.questions[number]
    mechanism = release.mechanism(question)
    return {
        **release.spec()["statistics"][number],
        "sensitivity_l2_squared": question.statistic.sensitivity(release.unit.max_rows),
        "scale": mechanism.scale,
        "threshold": mechanism.threshold,
        "charged": {"rho": str(mechanism.price.rho), "delta": str(mechanism.price.delta)},
    }
