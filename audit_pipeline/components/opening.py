"""From a component's project to the policy and lake it works on. Called when an asset runs, never when it is loaded."""

import os
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg

from audit_pipeline.errors import PolicyError
from audit_pipeline.lake.opened import Lake, open_lake
from audit_pipeline.policy import Policy, find_policy, load_policy, profile_passphrase
from audit_pipeline.sources.landing import Stream


def open_policy(project_root: Path) -> tuple[Policy, Lake]:
    """The policy and lake for a component of the project in `project_root`.

    A project that is a policy folder is its own policy, whatever AUDIT_POLICY says; any other needs AUDIT_POLICY.
    """
    is_policy = (project_root / "assets").is_dir() and (project_root / "workspace.yaml").is_file()
    root = project_root if is_policy else find_policy(os.environ, project_root)
    policy = load_policy(root, os.environ)
    return policy, open_lake(policy.places)


def require_streams(policy: Policy, streams: Sequence[Stream]) -> None:
    """Check that a component audits what its policy declares, since seals carry the policy's digest.

    Raises:
        PolicyError: they differ.
    """
    if set(streams) != set(policy.streams):
        declared, got = (", ".join(sorted(stream.name for stream in some)) for some in (policy.streams, streams))
        raise PolicyError(
            f"{policy.root}: the policy has the streams {declared}, the component {got}; make them the same"
        )


def partition_days(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> list[date]:
    """The days of this run's partitions; empty for a check that is run without any."""
    return [date.fromisoformat(key) for key in context.partition_keys] if context.has_partition_key else []


def key_passphrase() -> bytes | None:
    """What opens the keys of the profile, if they were made with one."""
    return profile_passphrase(os.environ)


def utc_now() -> datetime:
    return datetime.now(UTC)
