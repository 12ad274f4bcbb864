"""How fast each adapter makes events of records."""

import dataclasses
import sys
import time
from pathlib import Path
from typing import Any

from lakes import Work

_RECORDS = 1000


def adapters(file: Path, home: Path) -> Work:
    """Events per second of each, on the small shapes of the tests, a thousand records at least, in one process."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from audit_pipeline.formats.adapters import ADAPTERS
    from tests.formats import test_fuzz  # noqa: F401 - before the clock starts
    from tests.formats.shapes import SHAPES

    named = [(name, ADAPTERS[name], shapes[0]) for name, shapes in sorted(SHAPES.items())]
    return lambda: {"events_per_s": {name: _events_per_s(name, adapter, shape) for name, adapter, shape in named}}


def _events_per_s(name: str, adapter: Any, shape: Any) -> float:
    from audit_pipeline.formats.adapters import derive_rows
    from tests.formats.support import PEOPLE, source
    from tests.formats.test_fuzz import as_record

    once = [as_record(adapter, value) for value in shape.values]
    records = [(at, record, "ok") for at, record in enumerate(once * (_RECORDS // len(once) + 1))]
    context = dataclasses.replace(source(shape.path), mapping=shape.mapping)
    rates = []
    for _ in range(3):
        start = time.perf_counter()
        events = sum(table.num_rows for table in derive_rows(name, context, records, PEOPLE).values())
        rates.append(events / (time.perf_counter() - start))
    return float(sorted(rates)[1])
