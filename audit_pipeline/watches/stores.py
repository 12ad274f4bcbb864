"""Disks that are nearly full."""

import shutil
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from pathlib import Path

from audit_pipeline.alerts import Fault, Severity
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.places import Places
from audit_pipeline.policy import Policy
from audit_pipeline.watches.looking import Memory, Seen

_CRITICAL_PERCENT = 97


def see_stores(policy: Policy, lake: Lake, now: datetime, memory: Memory) -> Seen:
    """Disks that are nearly full."""
    return Seen(full_stores(policy.places, policy.alerts.watch.full_percent))


def full_stores(
    places: Places, percent: int, usage: Callable[[Path], tuple[int, int, int]] = shutil.disk_usage
) -> list[Fault]:
    """A fault for each disk that has less free than `percent` says, named by the first place on it.

    Stores that are no local folders have no end that could be seen.
    """
    faults, disks = [], set()
    for name in (place.name for place in fields(places)):
        place = getattr(places, name)
        if not isinstance(place, Path):
            continue
        folder = next(path for path in (place, *place.parents) if path.exists())
        total, _, free = usage(folder)
        if total == 0 or (device := folder.stat().st_dev) in disks:
            continue
        disks.add(device)
        full = 100 * (total - free) // total
        if full >= percent:
            severity = Severity.CRITICAL if full >= _CRITICAL_PERCENT else Severity.ERROR
            said = f"{percent} percent are full or more; {free >> 20} MiB are free"
            faults.append(Fault("store_full", name, name, severity, said))
    return faults
