"""What `status` says, read from the tables as they are. It checks nothing: that is what `verify` is for."""

from datetime import datetime
from typing import Any

import duckdb

from audit_pipeline.lake.keys import VKEY_FILE
from audit_pipeline.lake.opened import open_lake
from audit_pipeline.lake.query import connect
from audit_pipeline.lake.stores import open_store
from audit_pipeline.policy import Policy
from audit_pipeline.quality.findings import STATES
from audit_pipeline.releasing.state import read_budget

_STREAMS = """
    SELECT stream,
        count(DISTINCT source_id) AS sources, count(*) AS snapshots, sum(records)::BIGINT AS records,
        sum(quarantined)::BIGINT AS quarantined, sum(partial_tails)::BIGINT AS partial_tails,
        max(day) AS last_day, max(ingested_at) AS last_ingested_at
    FROM sources WHERE stream <> '_audit' GROUP BY stream ORDER BY stream
"""
_RECORDS = "SELECT coalesce(sum(records), 0)::BIGINT FROM sources"
# A source's newest row has its size on landing; its earlier rows are the same file when it was shorter.
_INPUT_BYTES = """
    SELECT coalesce(sum(bytes), 0)::BIGINT FROM
        (SELECT arg_max(size_bytes, (generation, snapshot)) AS bytes FROM sources WHERE stream <> '_audit'
            GROUP BY source_id)
"""
_SEALS = """
    SELECT count(*) AS log_size, count(DISTINCT day) AS days, max(day) AS last_day,
        max(sealed_at) AS last_sealed_at, coalesce(sum(records), 0)::BIGINT AS records
    FROM seals WHERE kind = 'seal'
"""

_CONTROLS = """
    WITH newest AS (FROM control_findings QUALIFY judged_at = max(judged_at) OVER ())
    SELECT any_value(first_day) AS first_day, any_value(last_day) AS last_day, any_value(judged_at) AS judged_at,
        count(*) FILTER (WHERE status = 'PASS') AS pass, count(*) FILTER (WHERE status = 'FAIL') AS fail,
        count(*) FILTER (WHERE status = 'NOT_EVIDENCED') AS not_evidenced,
        count(*) FILTER (WHERE status = 'NOT_APPLICABLE') AS not_applicable,
        coalesce(list(control ORDER BY control) FILTER (WHERE status = 'FAIL'), []) AS failing
    FROM newest HAVING count(*) > 0
"""
_QUALITY = """
    SELECT day, state, count(*) AS findings, count(*) FILTER (is_blocking) AS blocking
    FROM (FROM quality_findings QUALIFY round = max(round) OVER (PARTITION BY day)) GROUP BY day, state
"""


def read_state(policy: Policy, now: datetime) -> dict[str, Any]:
    """The parts `ingest`, `seals`, `privacy`, `quality`, `controls` (null where the policy has none) and `places`."""
    with connect(policy.places) as database:
        streams = {row.pop("stream"): row for row in _rows(database, _STREAMS)}
        [[input_bytes]] = database.execute(_INPUT_BYTES).fetchall()
        [[committed]] = database.execute(_RECORDS).fetchall()
        [seals] = _rows(database, _SEALS)
        controls = _rows(database, _CONTROLS)
        quality = _quality(database)
    lake_bytes = sum(
        listed.size_bytes
        for place in (policy.places.lake, policy.places.evidence)
        for listed in open_store(place).listed()
    )
    records = sum(stream["records"] for stream in streams.values())
    return {
        "ingest": {
            "records": records,
            "input_bytes": input_bytes,
            "lake_bytes": lake_bytes,
            "lake_bytes_per_input_byte": round(lake_bytes / input_bytes, 3) if input_bytes else None,
            "streams": {**{stream.name: {"sources": 0, "records": 0} for stream in policy.streams}, **streams},
        },
        "seals": {**seals, "unsealed_records": committed - seals["records"]},
        "privacy": _privacy(policy, now) if policy.summaries else None,
        "quality": quality,
        "controls": controls[0] if controls else None,
        "places": {
            "policy": policy.root,
            "policy_digest": policy.digest,
            "profile": policy.profile,
            **{
                name: getattr(policy.places, name)
                for name in policy.places.__dataclass_fields__
                if name != "signing_keys"
            },
            "signing_keys": list(policy.places.signing_keys) or f"files in {policy.places.keys}",
        },
    }


def _privacy(policy: Policy, now: datetime) -> dict[str, Any] | None:
    """The budget of this year, what of it is spent, reserved and left, in rho; None before there are keys."""
    if policy.summaries is None or not (policy.places.keys / VKEY_FILE).exists():
        return None
    state = read_budget(open_lake(policy.places), policy.summaries.budget, str(now.year))
    return {
        "period": state.period,
        "releases": state.releases,
        "budget": float(state.budget),
        "spent": float(state.spent),
        "reserved": float(state.reserved),
        "left": float(state.left),
        "epsilon": state.epsilon,
        "delta": state.delta,
        "threshold_delta": float(state.threshold_delta),
        "threshold_delta_budget": float(state.threshold_delta_budget),
    }


def _quality(database: duckdb.DuckDBPyConnection) -> dict[str, Any] | None:
    """The newest judgement of the newest judged day by state, and what holds back reports of any day."""
    found = _rows(database, _QUALITY)
    if not found:
        return None
    newest = [row for row in found if row["day"] == max(row["day"] for row in found)]
    return {
        "days": len({row["day"] for row in found}),
        "last_day": max(row["day"] for row in found),
        **{state: sum(row["findings"] for row in newest if row["state"] == state) for state in STATES},
        "holding_back_reports": sum(row["blocking"] for row in found if row["state"] in ("failed", "error")),
    }


def _rows(database: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    found = database.execute(sql)
    columns = [column[0] for column in found.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
