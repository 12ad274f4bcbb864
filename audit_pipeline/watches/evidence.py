"""Days without a seal, evidence that does not hold, sources that were rewritten, streams that fell silent."""

from datetime import UTC, date, datetime, timedelta

from audit_pipeline.alerts import Fault, Severity
from audit_pipeline.lake.declared import SEALS, SOURCES, VERIFICATIONS
from audit_pipeline.lake.opened import Lake
from audit_pipeline.policy import Policy
from audit_pipeline.verifications import covers
from audit_pipeline.watches.looking import Memory, Seen, new_rows

LATE_SEAL = timedelta(days=30)
"""How far back a missing seal is looked for."""
REWRITTEN_FOR = timedelta(days=7)
"""How long a rewritten source is news, to a look that remembers nothing."""
_SEAL, _AUDIT = "daily_merkle_root", "_audit"


def see_seals(policy: Policy, lake: Lake, now: datetime, memory: Memory) -> Seen:
    """Days without a seal: the day before from the policy's hour on, earlier ones always.

    Days before the first seal there is were before anybody ran this.
    """
    table = lake.find(SEALS)
    sealed = set() if table is None else set(table.read(["day"])["day"].to_pylist())
    if not sealed:
        return Seen()
    today = now.astimezone(UTC).date()
    last = today - timedelta(days=1 if now.astimezone(UTC).hour >= policy.alerts.watch.sealed_by_hour else 2)
    first = max(min(sealed), policy.start, today - LATE_SEAL)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return Seen([_fault("seal_missing", _SEAL, day, Severity.CRITICAL) for day in days if day not in sealed])


def see_verifications(policy: Policy, lake: Lake, now: datetime, memory: Memory) -> Seen:
    """Verifications that found problems, and that no later one of the same days, or of more, found gone."""
    table = lake.find(VERIFICATIONS)
    if table is None:
        return Seen()
    failed = [(_day(first), _day(last), int(problems)) for first, last, problems in memory.get("failed", ())]
    columns = ["first_day", "last_day", "problems", "verified_at"]
    for row in sorted(new_rows(table, memory, columns), key=lambda row: row["verified_at"]):
        first, last = row["first_day"], row["last_day"]
        failed = [found for found in failed if not covers((first, last), (found[0], found[1]))]
        if row["problems"]:
            failed.append((first, last, row["problems"]))
    faults = [
        _fault("verification_failed", _SEAL, _range(first, last), Severity.CRITICAL, f"{problems} problems")
        for first, last, problems in failed
    ]
    kept = [[first and first.isoformat(), last and last.isoformat(), problems] for first, last, problems in failed]
    return Seen(faults, {"version": table.version, "failed": kept})


def see_arrivals(policy: Policy, lake: Lake, now: datetime, memory: Memory) -> Seen:
    """Sources that were rewritten, and streams of which nothing new has come for too long."""
    table = lake.find(SOURCES)
    if table is None:
        return Seen()
    newest = {stream: datetime.fromisoformat(at) for stream, at in memory.get("newest", {}).items()}
    first = datetime.fromisoformat(memory["first"]) if "first" in memory else now
    faults = []
    for row in new_rows(table, memory, ["stream", "source_id", "generation", "growth", "ingested_at"]):
        stream, at = row["stream"], row["ingested_at"]
        newest[stream], first = max(at, newest.get(stream, at)), min(first, at)
        if row["growth"] == "rewritten" and now - at < REWRITTEN_FOR:
            item = f"{row['source_id'][:16]}:{row['generation']}"
            faults.append(Fault("source_rewritten", stream, item, Severity.ERROR, "earlier bytes are kept"))
    for stream in sorted(stream.name for stream in policy.streams):
        hours = policy.alerts.watch.silent_hours_of.get(stream, policy.alerts.watch.silent_hours)
        last = newest.get(stream)
        if now - (last or first) > timedelta(hours=hours):
            said = f"the last came at {last:%Y-%m-%d %H:%M} UTC" if last else "nothing ever came"
            faults.append(Fault("stream_silent", stream, stream, Severity.WARNING, said))
    kept = {stream: at.isoformat() for stream, at in newest.items() if stream != _AUDIT}
    return Seen(faults, {"version": table.version, "newest": kept, "first": first.isoformat()})


def _range(first: date | None, last: date | None) -> str:
    if first is None and last is None:
        return "all-days"
    return str(first) if first == last else f"{first or ''}..{last or ''}"


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _fault(kind: str, subject: str, item: object, severity: Severity, summary: str = "") -> Fault:
    return Fault(kind, subject, str(item), severity, summary)
