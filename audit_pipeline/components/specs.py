"""What every asset of ours has in common: the one builder of specs, the keys of metadata."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

EVIDENCE = "evidence"
EVENTS = "events"
REPORT = "report"
QUALITY = "quality"

STREAMS = "audit/streams"
RECORDS = "audit/records"
QUARANTINED = "audit/quarantined"
NEW_RECORDS = "audit/new_records"
SNAPSHOTS = "audit/snapshots"
FORMATS = "audit/formats"
ROWS_ADDED = "audit/rows_added"
DAY_ROOT = "audit/day_root"
SEGMENT = "audit/segment"
LOG_INDEX = "audit/log_index"
LOG_SIZE = "audit/log_size"
CHECKPOINT = "audit/checkpoint"
WARNINGS = "audit/warnings"
IS_NEW = "audit/is_new"
FILES = "audit/files"
FILES_ADDED = "audit/files_added"
INVENTORY = "audit/inventory"
INVENTORY_DIGEST = "audit/inventory_digest"
PATH = "audit/path"
DATA_FILES = "audit/data_files"
LOST = "audit/lost"
PROBLEMS = "audit/problems"
LEVELS = "audit/levels"
NOTES = "audit/notes"
STATUS = "audit/status"
STATUSES = "audit/statuses"
DETAIL = "audit/detail"
CANNOT_SHOW = "audit/cannot_show"
EXAMINED = "audit/examined"
VIOLATIONS = "audit/violations"
IS_EARLY = "audit/is_early"
NO_RELIANCE = "audit/no_reliance"
DIGESTS = "audit/digests"
STATE = "audit/state"
EXPECTED = "audit/expected"
OBSERVED = "audit/observed"
FAILING = "audit/failing"
FAILING_ROWS = "audit/failing_rows"
FINDINGS = "audit/findings"
PAGE = "audit/page"
ROUND = "audit/round"

MAX_ROWS = 50  # of a table in metadata, which Dagster keeps with every event


def daily(start: date) -> dg.DailyPartitionsDefinition:
    """One partition a UTC day from `start` to today, which `end_offset` makes a partition before it is over."""
    return dg.DailyPartitionsDefinition(start_date=start.isoformat(), end_offset=1)


def table_spec(name: str, group: str, start: date, description: str, deps: Sequence[str] = ()) -> dg.AssetSpec:
    """The spec of the asset named like the table `name`."""
    return dg.AssetSpec(
        key=name, group_name=group, description=description, deps=deps, partitions_def=daily(start), kinds={"deltalake"}
    )


def table_metadata(rows: Iterable[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """Rows as a table of text, the first ones only."""
    shown = [{key: str(value) for key, value in row.items()} for row in rows][:MAX_ROWS]
    columns = [dg.TableColumn(name) for name in (shown[0] if shown else {})]
    return dg.MetadataValue.table([dg.TableRecord(row) for row in shown], schema=dg.TableSchema(columns))
