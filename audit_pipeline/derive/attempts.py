"""How often a run logged the same before: by a resumed run, or by a copy of its log."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from audit_pipeline.derive.event_files import version_of
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records.events import CANONICAL_METRICS


class Attempts:
    """How often each metric of a run's step was logged before.

    The order is that of the commits of `records`, and within one that of its rows, so it is the same whenever it is
    counted. Without tables to begin from, the count begins with the first row. Most logs only go on: where every step
    of some rows is beyond the last one of their run, and no row is like another, nothing is counted.
    """

    COUNTED: ClassVar[dict[str, tuple[str, ...]]] = {
        "training_metrics": ("run_id", "split", "step", "metric"),
        "policy_updates": ("run_id", "step", "not_finite", *CANONICAL_METRICS),
    }

    def __init__(self, tables: Mapping[str, OpenTable] | None = None, before: int = 0) -> None:
        self._tables = tables or {}
        self._before = before
        self._counters = {name: _Counter(name, columns) for name, columns in self.COUNTED.items()}

    def number(self, name: str, rows: pa.Table) -> pa.Table:
        """The rows of one snapshot with their `attempt`; a table without attempts as it is."""
        if name not in self.COUNTED:
            return rows
        counter = self._counters[name]
        new = counter.runs_not_known(rows)
        if new and name in self._tables:
            earlier = self._tables[name].read_runs(counter.columns, new, lambda file: version_of(file) < self._before)
            counter.number(earlier)
        at = rows.schema.get_field_index("attempt")
        return rows.set_column(at, rows.schema.field(at), counter.number(rows))


_SAME = ("step", "metric", "split")  # in which order most logs only go up


def _encoded(rows: pa.Table) -> pa.Table:
    """The rows with each text once: logs repeat theirs, and many rows are kept."""
    names = [field.name for field in rows.schema if pa.types.is_string(field.type)]
    for name in names:
        encoded = rows[name].combine_chunks().dictionary_encode()
        rows = rows.set_column(rows.schema.get_field_index(name), name, encoded)
    return rows


def _are_distinct(codes: npt.NDArray[np.int64], columns: Sequence[pa.ChunkedArray]) -> bool:
    """Whether no two rows have the same codes and values. Where that is costly to say, no."""
    combined, size = codes.astype(np.int64), int(codes.max(initial=0)) + 1
    for column in columns:
        encoded = column.combine_chunks()
        if not pa.types.is_dictionary(encoded.type):
            encoded = encoded.dictionary_encode()
        size *= len(encoded.dictionary) + 1
        combined = (
            combined * (len(encoded.dictionary) + 1) + encoded.indices.fill_null(len(encoded.dictionary)).to_numpy()
        )
    if size >= 1 << 62:
        return False
    return bool((np.diff(combined) > 0).all()) or pc.count_distinct(pa.array(combined)).as_py() == len(codes)


class _Counter:
    """The rows of one table so far."""

    def __init__(self, name: str, counted: tuple[str, ...]) -> None:
        self.columns = (*counted, "source_id")
        self._name, self._counted = name, counted
        self._last: dict[tuple[str, bool], int] = {}
        """The last step of each run."""
        self._later: list[pa.Table] = []
        """Rows that are not in `_seen`, because nothing has asked for it yet."""
        self._seen: Counter[tuple[Any, ...]] = Counter()
        self._known: set[str] = set()

    def runs_not_known(self, rows: pa.Table) -> set[str]:
        """Runs that are met for the first time."""
        runs = {run for run in pc.unique(rows.column("run_id")).to_pylist() if run is not None}
        new = runs - self._known
        self._known |= new
        return new

    def number(self, rows: pa.Table) -> pa.Array:
        rows = _encoded(rows.select(self.columns))
        if self._only_goes_on(rows):
            self._later.append(rows)
            return pa.repeat(pa.scalar(0, pa.int32()), rows.num_rows)
        for later in self._later:
            self._seen.update(key for keys in self._keys(later) for key in keys)
        self._later.clear()
        attempts = []
        for keys in self._keys(rows):
            attempts.append(max((self._seen[key] for key in keys), default=0))
            self._seen.update(keys)
        return pa.array(attempts, pa.int32())

    def _only_goes_on(self, rows: pa.Table) -> bool:
        """Whether no row can be another attempt. The runs' last steps are brought up to date."""
        named, unnamed = (rows[name].combine_chunks() for name in ("run_id", "source_id"))
        runs = [(run, True) for run in named.dictionary.to_pylist()]
        codes = named.indices.fill_null(-1).to_numpy()
        codes = np.where(codes < 0, len(runs) + unnamed.indices.to_numpy(), codes)
        runs += [(source, False) for source in unnamed.dictionary.to_pylist()]
        only_goes_on = rows["step"].null_count == 0
        steps = pa.table({"run": codes, "step": rows["step"]}).group_by("run").aggregate([("step", "min_max")])
        for code, bounds in zip(steps["run"].to_pylist(), steps["step_min_max"].to_pylist(), strict=True):
            run, first, last = runs[code], bounds["min"], bounds["max"]
            if first is not None:
                only_goes_on &= run not in self._last or self._last[run] < first
                self._last[run] = max(self._last.get(run, last), last)
        return only_goes_on and _are_distinct(codes, [rows[name] for name in _SAME if name in self._counted])

    def _keys(self, rows: pa.Table) -> Iterator[list[tuple[Any, ...]]]:
        """What each row logs: a metric, or the numbers of an update, which some logs have in a record each."""
        columns = [rows.column(column).to_pylist() for column in self._counted]
        for source_id, run_id, *values in zip(rows.column("source_id").to_pylist(), *columns, strict=True):
            run = source_id if run_id is None else run_id, run_id is None  # no run named: told apart by the source
            if self._name == "training_metrics":
                yield [(*run, *values)]
            else:
                step, not_finite, *numbers = values
                named = {
                    metric for metric, number in zip(CANONICAL_METRICS, numbers, strict=True) if number is not None
                }
                yield [(*run, step, metric) for metric in sorted(named.union(not_finite or ()))]
