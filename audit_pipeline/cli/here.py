"""The policy, lake and clock of the place where a command is run."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from audit_pipeline.lake.opened import Lake
    from audit_pipeline.policy import Policy
    from audit_pipeline.tlog.trust import Trust

DOES_NOT_HOLD = 1
CANNOT_TELL = 2


class _Day(click.DateTime):
    """A day; click itself would answer with the pattern that it reads days by."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r}: expected a date such as 2026-01-01", param, ctx)


DAY = _Day(["%Y-%m-%d"])


def policy_here() -> "Policy":
    from audit_pipeline.policy import find_policy, load_policy

    return load_policy(find_policy(os.environ, Path.cwd()), os.environ)


def lake_here(trust: "Trust | None" = None) -> "Lake":
    """The lake. An auditor, who has no folder of keys, opens it with the key that they believe."""
    from audit_pipeline.lake.keys import VKEY_FILE
    from audit_pipeline.lake.opened import open_lake
    from audit_pipeline.tlog import format_vkey

    places = policy_here().places
    is_auditor = trust is not None and not (places.keys / VKEY_FILE).exists()
    return open_lake(places, format_vkey(trust.logs[0]) if trust and is_auditor else None)


def passphrase() -> bytes | None:
    from audit_pipeline.policy import profile_passphrase

    return profile_passphrase(os.environ)


def utc_now() -> datetime:
    return datetime.now(UTC)
