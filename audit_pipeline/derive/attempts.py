"""How often a run logged the same before: by a resumed run, or by a copy of its log."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from audit_pipeline.derive.event_files import version_of
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.records.events import CANONICAL_METRICS


class Attempts:
    """How often each metric of a run's step was logged before: by a resumed run, or a copy of its log.

    The order is that of the commits of `records`, and within one that of its rows, so it is the same whenever it is
    counted. Without tables to begin from, the count begins with the first row.
    """

    COUNTED: ClassVar[dict[str, tuple[str, ...]]] = {
        "training_metrics": ("run_id", "split", "step", "metric"),
        "policy_updates": ("run_id", "step", "not_finite", *CANONICAL_METRICS),
    }

    def __init__(self, tables: Mapping[str, OpenTable] | None = None, before: int = 0) -> None:
        self._tables = tables or {}
        self._before = before
        self._loaded: dict[str, set[str]] = {name: set() for name in self.COUNTED}
        self._seen: Counter[tuple[Any, ...]] = Counter()

    def number(self, name: str, rows: pa.Table) -> pa.Table:
        """The rows of one snapshot with their `attempt`; a table without attempts as it is."""
        if name not in self.COUNTED:
            return rows
        self._load(name, {run_id for run_id in pc.unique(rows.column("run_id")).to_pylist() if run_id is not None})
        attempts = []
        for keys in self._keys(name, rows):
            attempts.append(max((self._seen[key] for key in keys), default=0))
            self._seen.update(keys)
        at = rows.schema.get_field_index("attempt")
        return rows.set_column(at, rows.schema.field(at), pa.array(attempts, rows.schema.field(at).type))

    def _load(self, name: str, run_ids: set[str]) -> None:
        """Count what earlier commits gave of these runs; a table may be ahead of the others after a crash."""
        new = run_ids - self._loaded[name]
        self._loaded[name] |= new
        if new and name in self._tables:
            columns = [*self.COUNTED[name], "source_id"]
            rows = self._tables[name].read_runs(columns, new, lambda file: version_of(file) < self._before)
            for keys in self._keys(name, rows):
                self._seen.update(keys)

    def _keys(self, name: str, rows: pa.Table) -> Iterator[list[tuple[Any, ...]]]:
        """What each row logs: a metric, or the numbers of an update, which some logs have in a record each."""
        columns = [rows.column(column).to_pylist() for column in self.COUNTED[name]]
        for source_id, run_id, *values in zip(rows.column("source_id").to_pylist(), *columns, strict=True):
            run = source_id if run_id is None else run_id, run_id is None  # no run named: told apart by the source
            if name == "training_metrics":
                yield [(name, *run, *values)]
            else:
                step, not_finite, *numbers = values
                named = {
                    metric for metric, number in zip(CANONICAL_METRICS, numbers, strict=True) if number is not None
                }
                yield [(name, *run, step, metric) for metric in sorted(named.union(not_finite or ()))]
