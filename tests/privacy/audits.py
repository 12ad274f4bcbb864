"""The audit: what must hold of every build. Each function takes a build and raises AssertionError where one is broken.

test_audit.py runs them on the build as it is, and on builds with planted bugs, each of which one of them must catch.
"""

import json
import math
import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import stats

from audit_pipeline.errors import BudgetError, StorageError
from tests.privacy.annotated import AFTER, MONDAY, AnnotatedLake
from tests.privacy.building import Build
from tests.privacy_rows import adversaries, base_rows, table

MAX_ROWS = 20
RHO = Fraction("0.0096")


def bundle(build: Build, rho: Fraction = RHO, max_windows: int = 52, **options: Any) -> Any:
    """One of each statistic, at equal shares."""
    made = build.statistics
    asked = {
        "judgements": made.Count(),
        "annotators": made.DistinctAnnotators(),
        "outcomes": made.Histogram("outcome", ("a", "b", "tie", "both_bad")),
        "wins": made.WinRate((("m1", "m2"), ("m1", "m3"), ("m2", "m3"))),
        "rating": made.Mean("value_num", 1.0, 5.0),
        "ratings": made.Quantiles("value_num", (1.0, 2.0, 3.0, 4.0, 5.0), (0.25, 0.5, 0.75)),
        "agreement": made.Agreement(),
        "questions": made.DiscoveredKeys("question", 3, 1e-9),
    }
    questions = tuple(build.release.Question(name, one, rho / len(asked)) for name, one in asked.items())
    return build.release.Release(
        "bundle", "weekly", build.unit.ProtectedUnit(MAX_ROWS, max_windows), questions, **options
    )


def budget(build: Build, rho: str = "0.5", threshold_delta: str = "1e-7") -> Any:
    return build.price.Budget(Fraction(rho), 1e-6, Fraction(threshold_delta))


class Stub:
    """A mechanism that says nothing of what it is given, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def gaussian(self, exact: list[int], scale: float) -> list[int]:
        self.calls += 1
        return [7] * len(exact)

    def thresholded(self, exact: Mapping[str, int], scale: float, threshold: int) -> dict[str, int]:
        self.calls += 1
        return {}


@contextmanager
def annotated() -> Iterator[AnnotatedLake]:
    with TemporaryDirectory() as root:
        yield AnnotatedLake(Path(root), seed=1)


def release_week(build: Build, lake: AnnotatedLake, week: date = MONDAY, noise: Any = None, **arguments: Any) -> Any:
    asked = {
        "release": bundle(build),
        "budget": budget(build),
        "today": week + timedelta(days=7),
        "now": lake.now,
        "entropy": lake.entropy,
        "noise": noise or Stub(),
        **arguments,
    }
    release, limit = asked.pop("release"), asked.pop("budget")
    return build.releasing.release_window(lake.lake, release, build.unit.Window("weekly", week), limit, **asked)


def exact_of(build: Build, rows: pa.Table) -> dict[str, Any]:
    release = bundle(build)
    with build.rows.BoundedRows(release.unit, release.columns, [rows]) as bounded:
        return dict(release.exact(bounded))


# 1. Sensitivity: what a build claims is derived once more here, and compared with what an adversary can do.

CLAIMED = {
    "judgements": MAX_ROWS,
    "annotators": 1,
    "outcomes": MAX_ROWS,
    "wins": 1 << 16,
    "rating": (1 << 16) * math.sqrt(2),
    "ratings": 1,
    "agreement": MAX_ROWS * math.sqrt(2),
    "questions": math.sqrt(3),
}
"""L2, by the statistics' own definitions in spec and docs, not by the code."""


def no_annotator_moves_more_than_is_claimed(build: Build) -> None:
    release = bundle(build)
    base = base_rows()
    before = exact_of(build, base)
    for name, eve in adversaries().items():
        try:
            after = exact_of(build, pa.concat_tables([base, eve]))
        except StorageError as err:
            raise AssertionError(f"EVE {name}: whether it fails depends on the rows") from err
        for question in release.questions:
            moved = _difference(before[question.name], after[question.name])
            distance = math.sqrt(sum(n * n for n in moved))
            said = f"{question.name}, EVE {name}: moved by {distance}"
            assert distance <= CLAIMED[question.name] * (1 + 1e-9), said
            claimed = question.statistic.sensitivity(release.unit.max_rows)
            assert sum(n * n for n in moved) <= claimed, f"{said}, claimed {claimed} (squared)"
            if question.name == "questions":
                assert max(map(abs, moved), default=0) <= 1, f"{said}: one key by more than one"


def _difference(before: Any, after: Any) -> list[int]:
    if isinstance(before, dict):
        return [after.get(key, 0) - before.get(key, 0) for key in {*before, *after}]
    assert len(before) == len(after)
    return [b - a for a, b in zip(before, after, strict=True)]


# 2. Non-interference: with mechanisms that say nothing, neighbours cannot be told apart by anything public.


def nothing_public_depends_on_rows_but_through_noise(build: Build) -> None:
    alone = _public(build, None)
    others = adversaries(flood=100)
    for name in ("floods many keys", "joins rare key 1", "says inf", "says nan", "has no name", "says nothing"):
        assert _public(build, others[name]) == alone, f"EVE {name}: can be seen beside the mechanism"


def _public(build: Build, eve: pa.Table | None) -> dict[str, Any]:
    """Every file below `released`, and the row that is given back, but for the hidden digest of what was read."""
    with annotated() as lake:
        lake.put(base_rows(rows=100))
        if eve is not None and eve.num_rows:
            lake.put(eve)
        # Past the nonce, the same entropy: the salts that came before it are as many as the rows.
        lake.entropy = random.Random(7).randbytes
        row = dict(release_week(build, lake).row)
        manifest = json.loads(row.pop("manifest"))
        assert len(manifest["reservation"].pop("input")) == 64
        names = sorted(p.name for p in (lake.files.places.lake / "released").rglob("*") if p.is_file())
        return {"row": row, "manifest": manifest, "files": names}


# 3. Calibration: the noise is as large as was charged, and of the right shape.

DRAWS = 60_000


def noise_is_as_large_as_its_price_says(build: Build) -> None:
    release = bundle(build)
    for name in ("judgements", "rating"):
        (question,) = [one for one in release.questions if one.name == name]
        scale = release.mechanism(question).scale
        needed = CLAIMED[name] / math.sqrt(2 * float(question.rho))
        drawn = np.array(build.mechanisms.OpenDpNoise().gaussian([0] * DRAWS, scale), float)
        z = (drawn.var() / needed**2 - 1) / math.sqrt(2 / DRAWS)
        assert z > -4.9, f"{name}: standard deviation {drawn.std():.5g}, needed {needed:.5g} (z {z:.1f})"
        # Of the right shape, at false alarms of one in ten million: whole numbers spread over their unit.
        edges = stats.norm.ppf(np.linspace(0, 1, 41)) * scale
        spread = drawn + np.random.default_rng().uniform(-0.5, 0.5, DRAWS)
        found, _ = np.histogram(spread, bins=edges)
        assert stats.chisquare(found).pvalue > 1e-7, f"{name}: the noise is not Gaussian"


# 4. Canaries: keys of one annotator each are not named.

CANARIES = 20_000


def keys_of_one_annotator_are_not_named(build: Build) -> None:
    release = bundle(build)
    (question,) = [one for one in release.questions if one.name == "questions"]
    mechanism = release.mechanism(question)
    singletons = {f"k{n}": 1 for n in range(CANARIES)}
    named = build.mechanisms.OpenDpNoise().thresholded(singletons, mechanism.scale, mechanism.threshold)
    chance = stats.binom.sf(len(named) - 1, CANARIES, question.statistic.delta)
    assert not named or chance > 1e-6, f"{len(named)} of {CANARIES} keys of one annotator were named"
    rows = table(
        [{"annotator_id": f"c{n}", "question": f"k{n}", "salt": i} for n in range(50) for i in range(MAX_ROWS)]
    )
    counted = exact_of(build, rows)["questions"]
    assert set(counted.values()) == {1}, "a key of one annotator counts more than once"


# 5. Idempotence and unpredictability.


def a_release_is_drawn_once(build: Build) -> None:
    with annotated() as lake:
        lake.put(base_rows(rows=100))
        noise = build.mechanisms.OpenDpNoise()
        first = release_week(build, lake, noise=noise)
        lake.time += timedelta(hours=1)
        again = release_week(build, lake, noise=noise)
        assert first.is_new
        assert not again.is_new, "a retry drew afresh"
        assert again.row == first.row, "a retry gave other numbers"
        lake.put(table([{"annotator_id": "late", "salt": n} for n in range(50)]))
        lake.time += timedelta(hours=1)
        late = release_week(build, lake, noise=noise)
        assert late.row == first.row, "rows that came late caused another draw"
        assert len(build.releasing.check_ledger(lake.lake)) == 1


def noise_cannot_be_predicted(build: Build) -> None:
    def draw() -> tuple[int, ...]:
        random.seed(0)
        np.random.seed(0)
        return tuple(build.mechanisms.OpenDpNoise().gaussian([0] * 4, 1e6))

    assert len({draw() for _ in range(6)}) == 6, "the same seeds give the same noise"
    forked = []
    for _ in range(2):
        readable, writable = os.pipe()
        if (child := os.fork()) == 0:
            os.write(writable, json.dumps(draw()).encode())
            os._exit(0)
        os.waitpid(child, 0)
        forked.append(os.read(readable, 4096))
    assert forked[0] != forked[1], "forked workers share their noise"


# 6. One run with many canaries (Steinke, Nasr, Jagielski): each in or out by a coin, in a cell of its own.


def canaries_in_one_draw_stay_hidden(build: Build, canaries: int = 3000) -> None:
    release = bundle(build)
    (question,) = [one for one in release.questions if one.name == "outcomes"]
    rng = np.random.default_rng()
    coins = rng.integers(0, 2, canaries)
    scale = release.mechanism(question).scale
    drawn = np.array(build.mechanisms.OpenDpNoise().gaussian([MAX_ROWS * int(c) for c in coins], scale), float)
    sure = np.argsort(drawn)
    guessed = canaries // 5
    right = int((coins[sure[-guessed:]] == 1).sum() + (coins[sure[:guessed]] == 0).sum())
    # The best that anybody does against noise of the price that was charged, by simulation.
    mu = math.sqrt(2 * float(question.rho))
    others = rng.integers(0, 2, 400_000)
    order = np.argsort(rng.normal(size=400_000) + mu * others)
    best = np.r_[others[order[-80_000:]] == 1, others[order[:80_000]] == 0].mean()
    chance = stats.binom.sf(right - 1, 2 * guessed, best + 0.003)
    assert chance > 1e-6, f"{right} of {2 * guessed} canaries were told, {best:.3f} can be"


# 8. The ledger: drawn <= reserved <= budget.


def every_window_counts_and_none_is_given_back(build: Build) -> None:
    """Three windows, one of them reserved twice: what is lost is their sum."""
    with annotated() as lake:
        price = bundle(build).price()
        first = release_week(build, lake)
        assert first.is_new
        _crash(build, lake, MONDAY + timedelta(days=7))
        lake.time += timedelta(hours=1)
        release_week(build, lake, MONDAY + timedelta(days=7))
        release_week(build, lake, MONDAY + timedelta(days=14))
        rows = build.releasing.check_ledger(lake.lake)
        lost = build.ledger.loss(rows, "2026")
        assert len(rows) == 4
        assert (lost.rho, lost.delta) == (4 * price.rho, 4 * price.delta), f"four draws cost {float(lost.rho)}"
        fifth = {"budget": budget(build, str(price.rho * Fraction("4.5")))}
        try:
            release_week(build, lake, MONDAY + timedelta(days=21), **fifth)
        except BudgetError:
            return
        raise AssertionError("a fifth draw on a budget for four and a half")


class Crash(Exception):
    """The process is gone."""


class Crashing(Stub):
    def gaussian(self, exact: list[int], scale: float) -> list[int]:
        raise Crash


def _crash(build: Build, lake: AnnotatedLake, week: date) -> None:
    try:
        release_week(build, lake, week, Crashing())
    except Crash:
        return
    raise AssertionError("did not draw")


def a_reservation_made_meanwhile_is_seen(build: Build) -> None:
    """Whenever it is that another run reserves the last of the budget, be it between the look and the commit."""
    for at in (1, 2):
        with annotated() as lake:
            limit = budget(build, str(bundle(build).price().rho * Fraction("1.5")))
            noise, looks = Stub(), [0]

            def now(
                lake: AnnotatedLake = lake,
                at: int = at,
                noise: Stub = noise,
                looks: list[int] = looks,
                limit: Any = limit,
            ) -> Any:
                looks[0] += 1
                if looks[0] == at:
                    release_week(build, lake, MONDAY + timedelta(days=7), noise, budget=limit)
                return lake.now()

            with suppress(BudgetError):
                release_week(build, lake, MONDAY, noise, budget=limit, now=now)
            assert noise.calls == len(bundle(build).questions), "two draws on a budget for one"
            assert len(build.releasing.check_ledger(lake.lake)) == 1


def nobody_enters_more_windows_than_are_charged(build: Build) -> None:
    """EVE works in four weeks; two are charged. Whatever order they are released in, she is seen in two."""
    release = bundle(build, max_windows=2)
    for order in ([0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]):
        with annotated() as lake:
            for n in range(4):
                lake.put(table([{"annotator_id": "EVE"}]), MONDAY + timedelta(days=7 * n))
            seen = []
            for n in order:
                noise = Recording()
                week = MONDAY + timedelta(days=7 * n)
                release_week(build, lake, week, noise, release=release, today=AFTER + timedelta(days=60))
                seen.append(noise.vectors[0][0])
            assert sum(seen) <= 2, f"in the order {order}, EVE is counted in {sum(seen)} windows"
            assert sum(seen) == 2, f"in the order {order}, EVE is left out of windows that are charged"


class Recording(Stub):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.vectors: list[list[int]] = []

    def gaussian(self, exact: list[int], scale: float) -> list[int]:
        self.vectors.append(exact)
        return super().gaussian(exact, scale)


def a_restored_ledger_draws_nothing(build: Build) -> None:
    """The whole lake is put back as it was before a draw; its mark, which is elsewhere, remembers."""
    with annotated() as lake:
        tables = lake.files.places.lake
        release_week(build, lake)
        kept = {path: path.read_bytes() for path in tables.rglob("*") if path.is_file()}
        _crash(build, lake, MONDAY + timedelta(days=7))
        for path in [path for path in tables.rglob("*") if path.is_file() and path not in kept]:
            path.unlink()
        noise = Stub()
        lake.time += timedelta(hours=1)
        with suppress(BudgetError):
            release_week(build, lake, MONDAY + timedelta(days=7), noise)
        assert noise.calls == 0, "what a restored ledger forgot was drawn again"


AUDITS: dict[str, Callable[[Build], None]] = {
    audit.__name__: audit
    for audit in (
        no_annotator_moves_more_than_is_claimed,
        nothing_public_depends_on_rows_but_through_noise,
        noise_is_as_large_as_its_price_says,
        keys_of_one_annotator_are_not_named,
        a_release_is_drawn_once,
        noise_cannot_be_predicted,
        canaries_in_one_draw_stay_hidden,
        every_window_counts_and_none_is_given_back,
        a_reservation_made_meanwhile_is_seen,
        nobody_enters_more_windows_than_are_charged,
        a_restored_ledger_draws_nothing,
    )
}
