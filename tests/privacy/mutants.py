"""Planted bugs: one change to the source each, and the audit that must catch it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """In `file`, each old text becomes the new one. The old ones must be there, once."""

    file: str
    changes: Mapping[str, str]
    caught_by: str


_SENSITIVITY = "no_annotator_moves_more_than_is_claimed"
_INTERFERENCE = "nothing_public_depends_on_rows_but_through_noise"
_CALIBRATION = "noise_is_as_large_as_its_price_says"
_CANARIES = "keys_of_one_annotator_are_not_named"
_ONCE = "a_release_is_drawn_once"
_SUM = "every_window_counts_and_none_is_given_back"
_MEANWHILE = "a_reservation_made_meanwhile_is_seen"

_ROWS = "privacy/rows.py"
_STATISTICS = "privacy/statistics.py"
_MECHANISMS = "privacy/mechanisms.py"
_RELEASE = "privacy/release.py"
_LEDGER = "privacy/ledger.py"
_RELEASING = "releasing/releasing.py"

MUTANTS = {
    "no bounding": Mutant(_ROWS, {"ORDER BY hash) > {unit.max_rows}": "ORDER BY hash) > 999999"}, _SENSITIVITY),
    "bounding per key only": Mutant(
        _ROWS,
        {
            "PARTITION BY annotator": "PARTITION BY annotator, question",
            "GROUP BY annotator HAVING count(*) > {unit.max_rows}": "GROUP BY annotator",
        },
        _SENSITIVITY,
    ),
    "a null id bypasses bounding": Mutant(
        _ROWS,
        {'is_one = pc.is_valid(rows["annotator_id"])': 'is_one = pc.is_valid(rows["bounding_hash"])'},
        _SENSITIVITY,
    ),
    "duplicates after bounding": Mutant(
        _ROWS, {"(FROM bounded WHERE": "(FROM (FROM bounded UNION ALL FROM bounded) WHERE"}, _SENSITIVITY
    ),
    "event-level unit": Mutant(
        _STATISTICS, {"return max_rows**2  # all rows of one annotator may be in one cell": "return 1"}, _SENSITIVITY
    ),
    "rho halved": Mutant(
        _MECHANISMS,
        {
            "scale = root_above(sensitivity) / math.sqrt(2 * rho)": (
                "scale = root_above(sensitivity) / math.sqrt(4 * rho)"
            ),
            "Price(Fraction(_gaussian(scale).map(root_above(sensitivity))))": (
                "Price(Fraction(_gaussian(scale).map(root_above(sensitivity))) / 2)"
            ),
        },
        _CALIBRATION,
    ),
    "sigma 5% low": Mutant(
        _MECHANISMS, {"_gaussian(scale)(list(exact))": "_gaussian(scale * 0.95)(list(exact))"}, _CALIBRATION
    ),
    "NaN let through": Mutant(
        _STATISTICS,
        {
            'clipped = f"least(': 'clipped = f"if(isnan({self.column}), {self.column}, least(',
            '{self.upper!r}::DOUBLE)"\n        fixed': '{self.upper!r}::DOUBLE))"\n        fixed',
            "SELECT sum({fixed})::BIGINT // count(*) AS mean FROM chosen\n"
            "                WHERE {self.column} IS NOT NULL AND NOT isnan({self.column})": (
                "SELECT sum({fixed})::BIGINT // count(*) AS mean FROM chosen\n"
                "                WHERE {self.column} IS NOT NULL"
            ),
        },
        _SENSITIVITY,
    ),
    "no clamp": Mutant(
        _STATISTICS,
        {
            'clipped = f"least(greatest({self.column}, {self.lower!r}::DOUBLE), {self.upper!r}::DOUBLE)"': (
                'clipped = f"{self.column}"'
            ),
            'fixed = f"least(greatest({fixed}::BIGINT, {-FIXED_POINT}), {FIXED_POINT})"': 'fixed = f"{fixed}::BIGINT"',
        },
        _SENSITIVITY,
    ),
    "rows instead of annotators by key": Mutant(
        _STATISTICS,
        {
            "{self.column} AS key, min(hash) AS hash FROM chosen\n": "{self.column} AS key, hash FROM chosen\n",
            "WHERE {self.column} IS NOT NULL GROUP BY ALL": "WHERE {self.column} IS NOT NULL",
        },
        _SENSITIVITY,
    ),
    "L0 forgotten": Mutant(
        _STATISTICS, {"arg_min(key, hash, {self.max_keys})": "arg_min(key, hash, 999)"}, _SENSITIVITY
    ),
    "no threshold": Mutant(
        _MECHANISMS,
        {
            "drawn = _thresholded(scale, threshold)({str(at): exact[key] for at, key in enumerate(keys)})": (
                "drawn = dict(enumerate(self.gaussian([exact[key] for key in keys], scale)))"
            )
        },
        _CANARIES,
    ),
    "threshold without noise": Mutant(
        _RELEASE,
        {
            "counted = noise.thresholded(cells, scale, mechanism.threshold)": (
                "cells = {key: n for key, n in cells.items() if n >= 2}\n"
                "                counted = dict(zip(cells, noise.gaussian(list(cells.values()), scale)))"
            ),
        },
        _INTERFERENCE,
    ),
    "fresh noise on retry": Mutant(
        _RELEASING,
        {
            "return release_key(self.release, self.window, self.revision)": "return os.urandom(32).hex()",
            "import hashlib\n": "import hashlib\nimport os\n",
        },
        _ONCE,
    ),
    "seeded noise": Mutant(
        _MECHANISMS,
        {
            "return [int(n) for n in _gaussian(scale)(list(exact))]": (
                "import random\n        return [round(n + random.gauss(0, scale)) for n in exact]"
            )
        },
        "noise_cannot_be_predicted",
    ),
    "exact numbers beside the release": Mutant(
        _RELEASING,
        {"    row = publish(lake, row,": ("    row = publish(lake, {**row, 'release': f'{release.name} of {exact}'},")},
        _INTERFERENCE,
    ),
    "refund": Mutant(
        _LEDGER,
        {
            "        if row.period == period:": (
                "        if row.period == period and not any(r.key == row.key and r.number > row.number for r in rows):"
            )
        },
        _SUM,
    ),
    "appended to the newest ledger, not to the one that was looked at": Mutant(
        "lake/reservations.py",
        {
            "            mine = next_ = decide(rows)\n": (
                "            mine = next_ = decide(rows)\n"
                "            import dataclasses\n"
                "            ledger = lake.open(LEDGER)\n"
                "            rows = read_reservations(ledger)\n"
                "            previous = rows[-1].digest if rows else None\n"
                "            mine = next_ = dataclasses.replace(next_, number=len(rows) + 1, previous=previous)\n"
            ),
        },
        _MEANWHILE,
    ),
    "days in parallel": Mutant(
        _LEDGER,
        {
            "rho = sum(sorted((price.rho for price in prices), reverse=True)[: most[cadence]], Fraction(0))": (
                "rho = max((price.rho for price in prices), default=Fraction(0))"
            )
        },
        _SUM,
    ),
    "cached by content": Mutant(
        _RELEASING,
        {
            "asked = _Asked(release, window, due_revision(release, window, today))": (
                "asked = _Asked(release, window, due_revision(release, window, today) + 99 * WindowRows(lake).version)"
            )
        },
        _ONCE,
    ),
    "everybody enters every window": Mutant(
        _RELEASING, {", rows.left_out(release.unit, others)": ""}, "nobody_enters_more_windows_than_are_charged"
    ),
    "drawn before the mark": Mutant(
        _RELEASING, {"    move_mark(lake, reservation)\n": ""}, "a_restored_ledger_draws_nothing"
    ),
    "the mark is not asked": Mutant(
        _RELEASING,
        {"if mark.ledger is not None and mark.ledger not in": "if False and mark.ledger not in"},
        "a_restored_ledger_draws_nothing",
    ),
}
"""By what is wrong."""
