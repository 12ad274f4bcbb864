"""Delta tables of any Dagster project, judged by suites: checks alone, without a lake or a policy of ours."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from audit_pipeline.components.expectation_checks import check_result, check_specs
from audit_pipeline.errors import InputError
from audit_pipeline.lake.decoding import decoding
from audit_pipeline.policy.models import DeltaTableAttributes
from audit_pipeline.policy.suites import load_suites
from audit_pipeline.quality.day_database import day_database
from audit_pipeline.quality.findings import Finding
from audit_pipeline.quality.judging import judge
from audit_pipeline.quality.suites import Suite, needed_columns

OP = "judge_delta_tables"


def delta_checks(root: Path, folder: Path, tables: Mapping[str, DeltaTableAttributes]) -> dg.AssetChecksDefinition:
    """A check for each expectation of each table's suite, on the table's asset.

    Columns and queries are looked at when the definitions are loaded where the table is there, else when it is judged.
    """
    suites = _load(root, folder, tables)
    keys = {name: dg.AssetKey((table.asset or name).split("/")) for name, table in tables.items()}

    @dg.multi_asset_check(specs=check_specs(suites, keys), name=OP, can_subset=True)
    def judge_delta_tables(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        partitions = context.partition_keys if context.has_partition_key else None
        opened = {name: _open(root, table) for name, table in tables.items()}
        for suite in _load(root, folder, tables):
            if not any(key.asset_key == keys[suite.table] for key in context.selected_asset_check_keys):
                continue
            for finding in _judge(suite, opened, tables, partitions):
                key = dg.AssetCheckKey(keys[suite.table], finding.expectation.name)
                if key in context.selected_asset_check_keys:
                    yield check_result(finding, key.asset_key, {}, is_event=False)

    return judge_delta_tables


def _load(root: Path, folder: Path, tables: Mapping[str, DeltaTableAttributes]) -> list[Suite]:
    found: list[Suite] = []
    for name, table in tables.items():
        schemas = {other: _schema(root, said) for other, said in tables.items()}
        found += load_suites(folder, schemas, table.reference, only=name)
    return found


def _schema(root: Path, table: DeltaTableAttributes) -> pa.Schema | None:
    uri = _uri(root, table)
    if not DeltaTable.is_deltatable(uri):
        return None
    with decoding(uri, "see that it is a Delta table"):
        return pa.schema(DeltaTable(uri).schema().to_arrow())


def _open(root: Path, table: DeltaTableAttributes) -> DeltaTable:
    uri = _uri(root, table)
    if not DeltaTable.is_deltatable(uri):
        raise InputError(f"{uri}: no Delta table; materialise its asset first, or correct `delta` of the component")
    with decoding(uri, "see that it is a Delta table"):
        return DeltaTable(uri)


def _uri(root: Path, table: DeltaTableAttributes) -> str:
    return table.delta if "://" in table.delta else str(root / table.delta)


def _judge(
    suite: Suite,
    opened: Mapping[str, DeltaTable],
    tables: Mapping[str, DeltaTableAttributes],
    partitions: Sequence[str] | None,
) -> Iterator[Finding]:
    schemas = {name: pa.schema(table.schema().to_arrow()) for name, table in opened.items()}
    reference = tables[suite.table].reference
    needed = needed_columns([suite], {name: schema.names for name, schema in schemas.items()}, reference)
    parts = {
        name: (
            pa.schema([schemas[name].field(column) for column in columns]),
            _parts(opened[name], columns, tables[name].partition_column, partitions),
        )
        for name, columns in needed.items()
    }
    with day_database(parts) as database:
        yield from judge(suite, database, {}, reference)


def _parts(
    table: DeltaTable, columns: Sequence[str], partition_column: str | None, partitions: Sequence[str] | None
) -> Iterator[pa.Table]:
    """The rows of the partitions, or all where the table or the run has none, some at a time."""
    dataset = table.to_pyarrow_dataset()
    where = None
    if partition_column is not None and partitions is not None:
        wanted = pa.array(partitions).cast(dataset.schema.field(partition_column).type)
        where = pc.field(partition_column).isin(wanted)
    for batch in dataset.to_batches(columns=list(columns), filter=where):
        yield pa.Table.from_batches([batch])
