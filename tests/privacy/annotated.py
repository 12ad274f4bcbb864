"""A sealed lake whose `annotations` has the rows that a test gives it, without the logs they would come from."""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from audit_pipeline.derive import DERIVE_APP
from audit_pipeline.derive.event_files import event_file
from audit_pipeline.lake.commits import Commit, milliseconds
from audit_pipeline.lake.data_files import put_rows
from audit_pipeline.lake.declared import EVENTS, RECORDS
from audit_pipeline.lake.opened import Lake
from audit_pipeline.records.events import EVENT_SCHEMAS
from audit_pipeline.sealing import seal_day
from tests.lakes import LakeForTests

MONDAY = date(2026, 3, 2)
AFTER = date(2026, 3, 9)
"""The first day on which the week from MONDAY is over."""
NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)


class AnnotatedLake:
    """A lake with one seal, unless it is to have none, a clock that tests turn, and rows put into its event tables."""

    def __init__(self, root: Path, *, seed: int | None = None, is_sealed: bool = True) -> None:
        self.files = LakeForTests(root, seed=seed)
        self.entropy: Callable[[int], bytes] = self.files.entropy
        self.time = NOON
        if is_sealed and not (root / "log" / "checkpoint").exists():
            self.files.ingest(date(2026, 3, 1))
            self.files.seal(date(2026, 3, 1))

    @property
    def lake(self) -> Lake:
        return self.files.lake

    def now(self) -> datetime:
        self.time += timedelta(milliseconds=1)
        return self.time

    def put(self, rows: pa.Table, day: date = MONDAY) -> None:
        put_annotations(self.lake, rows, day)


def put_annotations(lake: Lake, rows: pa.Table, day: date) -> None:
    """Rows of tests/privacy_rows.py become a commit of `annotations`, their models one of `generations`."""
    models = sorted({*_texts(rows, "model_a"), *_texts(rows, "model_b")})
    written = [{"event_id": f"of-{model}", "model_name": model} for model in models]
    judged = rows.append_column("response_a_id", _ids(rows["model_a"]))
    judged = judged.append_column("response_b_id", _ids(rows["model_b"]))
    _commit(lake, "generations", day, written)
    _commit(lake, "annotations", day, judged.drop_columns(["model_a", "model_b"]).to_pylist())


def _commit(lake: Lake, name: str, day: date, rows: Sequence[Mapping[str, Any]]) -> None:
    opened = lake.open(EVENTS[name])
    number = opened.transaction(DERIVE_APP) + 1
    required = {"day": day, "source_id": "s", "generation": 0, "snapshot": 0, "position": 0, "event_id": "e"}
    required |= {"source_format": "made", "adapter_version": "1", "event_time_quality": "none"}
    table = pa.Table.from_pylist([{**required, **row} for row in rows], schema=EVENT_SCHEMAS[name])
    file = put_rows(opened, event_file(number), table)
    assert opened.commit(Commit(milliseconds(NOON), DERIVE_APP, number, (file,)), number - 1)


def seal_empty_day(lake: Lake, policy_digest: str, day: date) -> None:
    """A first seal, without which nothing is released."""
    lake.open(RECORDS)
    seal_day(
        lake,
        day,
        policy_digest=policy_digest,
        passphrase=None,
        today=day,
        now=lambda: datetime.now(UTC),
        entropy=os.urandom,
    )


def _texts(rows: pa.Table, column: str) -> list[str]:
    return [text for text in rows[column].to_pylist() if text is not None]


def _ids(models: pa.ChunkedArray) -> pa.Array:
    return pa.array([None if model is None else f"of-{model}" for model in models.to_pylist()], pa.string())
