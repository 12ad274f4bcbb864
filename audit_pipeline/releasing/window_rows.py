"""Rows of `annotations` by window, as the summaries are given them, one data file in memory at a time."""

from collections.abc import Collection, Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from audit_pipeline.derive.event_files import version_of
from audit_pipeline.lake.declared import EVENTS
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.privacy.rows import used_up
from audit_pipeline.privacy.unit import PROTECTED_TABLE, ProtectedUnit, Window

_ALWAYS = ("annotator_id", "annotator_kind", "bounding_hash", "status")
_MODELS = {"model_a": "response_a_id", "model_b": "response_b_id"}
"""Names of models, and the columns that name the response each of them wrote."""


class WindowRows:
    """Rows of one version of `annotations`."""

    def __init__(self, lake: Lake) -> None:
        self._annotations = lake.open(EVENTS[PROTECTED_TABLE])
        self._generations = lake.open(EVENTS["generations"])
        self.version = self._annotations.version
        self.read: list[str] = []
        """The data files that were read so far."""

    def of(self, window: Window, columns: Collection[str]) -> Iterator[pa.Table]:
        """The rows of a window, with `columns` and those that bounding needs."""
        wanted = sorted({*_ALWAYS, *columns})
        stored = sorted({_MODELS.get(name, name) for name in wanted})
        of_version: dict[int, list[str]] = {}
        for name in self._generations.active_files():
            of_version.setdefault(version_of(name), []).append(name)
        for name, rows in self._annotations.read_by_file(stored, window.first, window.last):
            self.read.append(name)
            if not _MODELS.keys().isdisjoint(wanted):
                # What a judgement points at is of its own record, and so derived from the same commit.
                rows = _with_models(rows, self._generations, of_version.get(version_of(name), []))
            yield rows.select(wanted)

    def left_out(self, unit: ProtectedUnit, others: Collection[Window]) -> pa.Array | None:
        """The annotators whose windows of the period are used up by `others`; None where nobody's can be."""
        if len(others) < unit.max_windows:
            return None
        return used_up(unit, (self.of(window, ()) for window in sorted(others)))


def _with_models(rows: pa.Table, generations: OpenTable, names: Iterable[str]) -> pa.Table:
    ids, models = [], []
    for name in names:
        written = generations.read_file(name, ["event_id", "model_name"])
        ids += written["event_id"].chunks
        models += written["model_name"].chunks
    event_ids, model_names = pa.chunked_array(ids, pa.string()), pa.chunked_array(models, pa.string())
    for model, response in _MODELS.items():
        at = pc.index_in(rows[response], value_set=event_ids.combine_chunks())
        rows = rows.append_column(model, model_names.take(at))
    return rows
