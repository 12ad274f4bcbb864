"""Which releases are due: by the calendar, the first sealed day, and what is published. No annotator's row decides."""

from datetime import date, timedelta

from audit_pipeline.lake.declared import RELEASES, SEALS
from audit_pipeline.lake.opened import Lake
from audit_pipeline.privacy.release import Plan, Release
from audit_pipeline.privacy.unit import Cadence, Window
from audit_pipeline.releasing.releasing import due_revision

LOOK_BACK = timedelta(days=35)
"""For so long a window that nobody published, as when the machine was off, is still due."""


def due_releases(lake: Lake, plan: Plan, cadence: Cadence, today: date) -> list[tuple[Release, Window]]:
    """Windows that are over, and revisions, that fell due in the last 35 days and are not published.

    Windows that were over before the first sealed day are not: they would cost budget and hold nothing.
    """
    seals, releases = lake.find(SEALS), lake.find(RELEASES)
    sealed = [] if seals is None else seals.read(["day"])["day"].to_pylist()
    if not sealed:
        return []
    rows = [] if releases is None else releases.read(["release", "day", "revision"]).to_pylist()
    published = {(row["release"], row["day"], row["revision"]) for row in rows}
    return [
        (release, window)
        for release, window in fell_due(plan, cadence, today)
        if window.last >= min(sealed)
        and (release.name, window.first, due_revision(release, window, today)) not in published
    ]


def fell_due(plan: Plan, cadence: Cadence, today: date) -> list[tuple[Release, Window]]:
    """The releases of windows that fell due, or a revision of which did, in the days looked back on."""
    length = timedelta(days=7 if cadence == "weekly" else 1)
    first = plan.start + timedelta(days=-plan.start.weekday() % 7 if cadence == "weekly" else 0)
    windows = [Window(cadence, first + length * n) for n in range(max(0, (today - first) // length))]
    due = []
    for release in (one for one in plan.releases if one.cadence == cadence):
        for window in windows:
            days = {window.last + timedelta(days=after + 1) for after in (0, *release.revisions)}
            if any(today - LOOK_BACK < day <= today for day in days):
                due.append((release, window))
    return due
