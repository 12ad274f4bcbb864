"""The policy, lake and clock of the place where a command is run."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from audit_pipeline.lake.opened import Lake
    from audit_pipeline.policy import Policy

DAY = click.DateTime(["%Y-%m-%d"])


def policy_here() -> "Policy":
    from audit_pipeline.policy import find_policy, load_policy

    return load_policy(find_policy(os.environ, Path.cwd()), os.environ)


def lake_here() -> "Lake":
    from audit_pipeline.lake.opened import open_lake

    return open_lake(policy_here().places)


def passphrase() -> bytes | None:
    return os.environ.get("AUDIT_KEY_PASSPHRASE", "").encode() or None


def utc_now() -> datetime:
    return datetime.now(UTC)
