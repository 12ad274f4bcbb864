"""Buckets as guards: nothing that was written once was covered, and locks and keys are what the profile says."""

from audit_pipeline.lake.guards import Guard, find_covered, read_guard
from audit_pipeline.lake.logs_on_disk import LAST_CHECKPOINT
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.places import Bucket
from audit_pipeline.verify.findings import Findings

_GUARDED = ("lake", "evidence", "log", "marks", "released")


def check_guards(lake: Lake, findings: Findings) -> None:
    """Ask each bucket of the lake; of local folders there is nothing to ask."""
    for name in _GUARDED:
        place = getattr(lake.places, name)
        if not isinstance(place, Bucket):
            continue
        findings.guard(name, lambda name=name, place=place: _check_versions(name, place, findings))  # type: ignore[misc]
        if place.access.is_locked or place.access.encryption_key:
            guard = findings.guard(name, lambda place=place: read_guard(place))  # type: ignore[misc]
            if guard is not None:
                _check_guard(name, place, guard, findings)
        if not place.access.is_locked:
            findings.notes.append(f"{name}: {place} is under no lock that the profile knows of")


def _check_versions(name: str, place: Bucket, findings: Findings) -> None:
    for covered in find_covered(place):
        if (name == "log" and covered.name == "checkpoint") or covered.name.endswith(f"/{LAST_CHECKPOINT}"):
            continue  # these alone are put again
        done = "was removed and put again" if covered.is_removed else "something was put over it"
        findings.add_file(
            f"{name}/{covered.name}", f"has {covered.versions} versions: {done}; the bucket has the first one still"
        )


def _check_guard(name: str, place: Bucket, guard: Guard, findings: Findings) -> None:
    expected = place.access
    if expected.is_locked and not guard.lock:
        findings.add(name, f"{place}: the profile says it is locked, and the bucket has no lock that nobody can lift")
    elif expected.is_locked:
        findings.notes.append(f"{name}: {guard.lock}")
    if expected.encryption_key and guard.encryption_key != expected.encryption_key:
        findings.add(
            name,
            f"{place}: expected new objects under the key {expected.encryption_key}, the bucket uses "
            f"{guard.encryption_key or 'a key of the cloud'}",
        )
