"""The component RunLogs: streams of run logs become `records` and `sources`, and the typed view of them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import dagster as dg
from pydantic import BaseModel, Field

from audit_pipeline.components import specs
from audit_pipeline.components.opening import key_passphrase, open_policy, partition_days, require_streams, utc_now
from audit_pipeline.derive import derive_events
from audit_pipeline.ingest import StreamCounts, check_nothing_lost, ingest_day, system_entropy
from audit_pipeline.lake.declared import RECORDS, SOURCES
from audit_pipeline.lake.opened import Lake
from audit_pipeline.policy import Policy
from audit_pipeline.policy.models import RunLogsAttributes, StreamAttributes, parse_start
from audit_pipeline.sources.landing import Stream, list_landing

INGEST_OP = "ingest_day"
EVIDENCE_TABLES = {
    "records": "Every record of every source, as its bytes were, with its salt. One row per record.",
    "sources": "What was taken in of each source. One row per snapshot.",
}
EVENT_TABLES = {
    "runs": "Training runs. One row per mention of a run in the logs.",
    "annotations": "Judgements by people and models. One row per judgement.",
    "generations": "What models wrote, and the preference pairs people were shown. One row per text.",
    "reward_scores": "Scores of generations. One row per score.",
    "training_metrics": "Numbers the trainers logged. One row per metric and step.",
    "policy_updates": "The few numbers of a step that nearly every trainer logs. One row per log entry.",
    "model_checkpoints": "Files of model checkpoints. One row per file and time it was seen.",
    "log_findings": "Records that give no event and why, and what was withheld from the other tables.",
}


class IngestConfig(dg.Config):
    """What one run may be told, in the Launchpad or by a schedule."""

    rehash: bool = Field(default=False, description="Read files that look unchanged too, and compare their bytes.")


class RunLogsParams(BaseModel):
    """What `dg scaffold` may be told."""

    start: date | None = Field(default=None, description="First day to audit (default: today).")
    stream: str = Field(default="runs", description="Name of the first stream.")
    path: str | None = Field(default=None, description="Its glob inside the landing zone (default: STREAM/{date}/**).")


class RunLogsScaffolder(dg.Scaffolder[RunLogsParams]):
    """Writes a defs.yaml with one stream."""

    @classmethod
    def get_scaffold_params(cls) -> type[RunLogsParams]:
        return RunLogsParams

    def scaffold(self, request: dg.ScaffoldRequest[RunLogsParams]) -> None:
        wanted = request.params
        stream = {"name": wanted.stream, "path": wanted.path or f"{wanted.stream}/{{date}}/**"}
        start = wanted.start or utc_now().date()
        dg.scaffold_component(request, {"start": start.isoformat(), "streams": [stream]})


@dg.scaffold_with(RunLogsScaffolder)
class RunLogs(dg.Component, dg.Model, dg.Resolvable):
    """Takes in the run logs of each day, whole, and derives the typed view from them."""

    start: Annotated[
        date,
        dg.Resolver(lambda _, text: parse_start(text), model_field_type=str),
        Field(description="First day to audit, such as 2026-01-01."),
    ]
    streams: Annotated[Sequence[StreamAttributes], Field(description="The kinds of run logs, and where they land.")]

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """The spec of one of the assets. Override it to add owners, tags or a group; leave the key."""
        return spec

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        attributes = RunLogsAttributes(start=self.start, streams=tuple(self.streams))
        streams = [stream.stream() for stream in attributes.streams]
        root = context.project_root
        return dg.Definitions(
            assets=[self._evidence(root, streams), self._events(root)], asset_checks=[_nothing_lost(root)]
        )

    def _specs(self, tables: Mapping[str, str], group: str, deps: Sequence[str] = ()) -> list[dg.AssetSpec]:
        made = [specs.table_spec(name, group, self.start, text, deps) for name, text in tables.items()]
        return [self.get_asset_spec(spec) for spec in made]

    def _evidence(self, root: Path, streams: Sequence[Stream]) -> dg.AssetsDefinition:
        @dg.multi_asset(specs=self._specs(EVIDENCE_TABLES, specs.EVIDENCE), name=INGEST_OP)
        def ingest(context: dg.AssetExecutionContext, config: IngestConfig) -> Iterator[dg.MaterializeResult[None]]:
            policy, lake = open_policy(root)
            require_streams(policy, streams)
            (day,) = partition_days(context)
            counts = ingest_day(
                lake,
                streams,
                day,
                today=utc_now().date(),
                now=utc_now,
                entropy=system_entropy,
                rehash=config.rehash,
            )
            for name, found in counts.items():
                context.log.info(f"{day} {name}: {found.records} records, {found.quarantined} quarantined")
            yield dg.MaterializeResult(asset_key="records", metadata=_records_metadata(lake, day, counts))
            yield dg.MaterializeResult(asset_key="sources", metadata=_sources_metadata(lake, day, counts))

        return ingest

    def _events(self, root: Path) -> dg.AssetsDefinition:
        @dg.multi_asset(specs=self._specs(EVENT_TABLES, specs.EVENTS, ["records"]), name="derive_events")
        def derive(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
            _, lake = open_policy(root)
            added = derive_events(lake, system_entropy, passphrase=key_passphrase())
            context.log.info(f"rows added: {added}")
            for table in EVENT_TABLES:
                yield dg.MaterializeResult(asset_key=table, metadata={specs.ROWS_ADDED: added.get(table, 0)})

        return derive


def _nothing_lost(root: Path) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset="records", description="Every landed file is wholly in `records`.")
    def nothing_lost(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        policy, lake = open_policy(root)
        today = utc_now().date()
        days = partition_days(context) or landed_days(policy, today)
        lost = [line for day in days for line in check_nothing_lost(lake, policy.streams, day, today=today)]
        return dg.AssetCheckResult(
            passed=not lost,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={specs.LOST: specs.table_metadata({"file": line} for line in lost)},
        )

    return nothing_lost


def landed_days(policy: Policy, today: date) -> list[date]:
    """Every day from the policy's start to `today` that has landed files; those of a stream without dates are today's.

    What a check run without a partition looks at, and what the weekly schedule reads again.
    """
    landed = (file.day for stream in policy.streams for file in list_landing(policy.places.landing, stream))
    return sorted({day for found in landed if policy.start <= (day := found or today) <= today})


def _records_metadata(lake: Lake, day: date, counts: Mapping[str, StreamCounts]) -> Mapping[str, dg.MetadataValue]:
    """Totals of the day by stream, whenever they came in, beside what this run added."""
    totals: dict[str, Counter[str]] = {name: Counter() for name in counts}
    for row in lake.open(SOURCES).read(["stream", *_TOTALS], day).to_pylist():
        totals.setdefault(row.pop("stream"), Counter()).update({"snapshots": 1, **row})
    streams = [
        {
            "stream": name,
            "files": counts[name].files if name in counts else "",
            **{column: total[column] for column in ("snapshots", *_TOTALS)},
            "new_records": counts[name].records if name in counts else 0,
        }
        for name, total in sorted(totals.items())
    ]
    return {
        specs.STREAMS: specs.table_metadata(streams),
        specs.RECORDS: dg.MetadataValue.int(sum(total["records"] for total in totals.values())),
        specs.QUARANTINED: dg.MetadataValue.int(sum(total["quarantined"] for total in totals.values())),
        specs.NEW_RECORDS: dg.MetadataValue.int(sum(found.records for found in counts.values())),
        specs.PATH: dg.MetadataValue.path(str(RECORDS.uri(lake.places))),
        specs.DATA_FILES: dg.MetadataValue.json(
            {k: v for found in counts.values() for k, v in found.data_files.items()}
        ),
    }


_TOTALS = ("records", "quarantined", "partial_tails")


def _sources_metadata(lake: Lake, day: date, counts: Mapping[str, StreamCounts]) -> Mapping[str, dg.MetadataValue]:
    rows = lake.open(SOURCES).read(["stream", "format", "format_evidence"], day).to_pylist()
    formats = Counter((row["stream"], row["format"], row["format_evidence"]) for row in rows)
    return {
        specs.SNAPSHOTS: dg.MetadataValue.int(sum(found.snapshots for found in counts.values())),
        specs.FORMATS: specs.table_metadata(
            {"stream": stream, "format": name, "because": why, "snapshots": number}
            for (stream, name, why), number in formats.most_common(specs.MAX_ROWS)
        ),
        specs.PATH: dg.MetadataValue.path(str(SOURCES.uri(lake.places))),
    }
