"""The manifest alone lets a second implementation work out sensitivity and loss again, with arithmetic of its own."""

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from scipy.optimize import minimize_scalar

from tests.privacy.annotated import AnnotatedLake
from tests.privacy.audits import bundle, release_week
from tests.privacy.building import build_with
from tests.privacy_rows import base_rows

SENSITIVITY_SQUARED = {
    "count": lambda said, rows, one: rows**2,
    "distinct_annotators": lambda said, rows, one: 1,
    "histogram": lambda said, rows, one: rows**2,
    "win_rate": lambda said, rows, one: one**2,
    "mean": lambda said, rows, one: 2 * one**2,
    "quantiles": lambda said, rows, one: 1,
    "agreement": lambda said, rows, one: 2 * rows**2,
    "discovered_keys": lambda said, rows, one: said["max_keys"],
}
"""By the statistics' definitions in docs/privacy-promise.md."""


def epsilon(rho: float, delta: float) -> float:
    """From zCDP: the least epsilon over orders alpha (Canonne, Kamath, Steinke 2020, proposition 7)."""

    def at(log_order: float) -> float:
        alpha = 1 + math.exp(log_order)
        return alpha * rho + math.log1p(-1 / alpha) - math.log(delta * alpha) / (alpha - 1)

    return float(minimize_scalar(at, bounds=(-10, 10), method="bounded", options={"xatol": 1e-12}).fun)


def rare_key_chance(max_keys: int, scale: float, threshold: int) -> float:
    """Chance that any of `max_keys` keys of one annotator reaches the threshold: discrete Gaussian tails, summed."""
    spread = range(-int(40 * scale), int(40 * scale))
    weights = [math.exp(-(x**2) / (2 * scale**2)) for x in spread]
    tail = sum(w for x, w in zip(spread, weights, strict=True) if 1 + x >= threshold) / sum(weights)
    return 1 - (1 - tail) ** max_keys


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with build_with({}) as build:
        lake = AnnotatedLake(Path(tmp_path_factory.mktemp("manifest")))
        lake.put(base_rows(rows=50))
        return dict(json.loads(release_week(build, lake, release=bundle(build)).row["manifest"]))


def test_sensitivity_follows_from_the_manifest(manifest: dict[str, Any]) -> None:
    rows, one = manifest["privacy_loss"]["privacy_unit_details"]["max_rows"], manifest["software"]["fixed_point"]

    assert {said["statistic"] for said in manifest["statistics"]} == SENSITIVITY_SQUARED.keys()
    for said in manifest["statistics"]:
        assert said["sensitivity_l2_squared"] == SENSITIVITY_SQUARED[said["statistic"]](said, rows, one)


def test_the_price_follows_from_sensitivity_and_scale(manifest: dict[str, Any]) -> None:
    total = Fraction(0)
    for said in manifest["statistics"]:
        rho = Fraction(said["sensitivity_l2_squared"]) / (2 * Fraction(said["scale"]) ** 2)
        charged = Fraction(said["charged"]["rho"])
        assert charged >= rho * (1 - Fraction(1, 10**12)), f"{said['name']} costs more than was charged"
        assert charged <= Fraction(said["rho"]), f"{said['name']} was charged more than its share"
        total += charged

    assert Fraction(manifest["privacy_loss"]["privacy_parameters"]["rho"]) == total


def test_the_chance_of_naming_a_rare_key_follows_from_scale_and_threshold(manifest: dict[str, Any]) -> None:
    (said,) = [one for one in manifest["statistics"] if one["statistic"] == "discovered_keys"]

    chance = rare_key_chance(said["max_keys"], said["scale"], said["threshold"])

    assert 0 < chance <= float(Fraction(said["charged"]["delta"])) <= said["delta"]


def test_epsilon_follows_from_rho_and_delta(manifest: dict[str, Any]) -> None:
    budget = manifest["privacy_loss"]["period_budget"]

    assert budget["epsilon"] == pytest.approx(epsilon(float(Fraction(budget["rho"])), budget["delta"]), rel=1e-6)
    assert budget["epsilon"] == pytest.approx(5.2, abs=0.03)


def test_the_manifest_has_the_sections_of_a_record_of_the_registry(manifest: dict[str, Any]) -> None:
    registry = {"basic", "dp_variant", "privacy_loss", "deployment_model", "implementation"}

    assert registry <= manifest.keys()
    assert manifest["dp_variant"]["variant_name"] == "zCDP"
    assert manifest["software"]["version"]
