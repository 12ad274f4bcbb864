"""What a deployment needs, looked at line by line. Nothing is repaired; what is written is removed again."""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg

from audit_pipeline.alert_rows import read_alerts
from audit_pipeline.alerts import dead_channels
from audit_pipeline.components.alerts import TELL_SENSOR
from audit_pipeline.components.daily_audit import CLOSING_SCHEDULE, SCHEDULE
from audit_pipeline.errors import AuditError, InputError, PolicyError, StorageError
from audit_pipeline.lake.keys import load_person_keys
from audit_pipeline.lake.opened import open_lake
from audit_pipeline.policy import Policy
from audit_pipeline.signers import load_signers
from audit_pipeline.watches import full_stores

_LONG_AGO = timedelta(minutes=10)
"""A sensor that looks each minute and has not for so long does not look."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at."""

    what: str
    said: str
    is_wrong: bool = False


def examine(policy: Policy, environ: Mapping[str, str], passphrase: bytes | None, now: datetime) -> Iterator[Line]:
    """A line for each thing a deployment needs, in the order in which they need each other."""
    yield Line("policy", f"{policy.root}, profile {policy.profile}, {len(policy.streams)} streams")
    yield from _places(policy)
    yield _line("signing key", lambda: ", ".join(key.verifier.name for key in load_signers(policy.places, passphrase)))
    yield _line("pseudonym keys", lambda: load_person_keys(policy.places.keys, passphrase) and "open")
    yield _line("keys are apart", lambda: _keys_are_apart(policy))
    yield _line("room", lambda: _room(policy))
    yield from _channels(policy, environ, now)
    yield from _instance(policy, environ, now)


def _line(what: str, look: Callable[[], object]) -> Line:
    try:
        return Line(what, str(look()))
    except AuditError as err:
        return Line(what, str(err), is_wrong=True)


def _places(policy: Policy) -> Iterator[Line]:
    for name in (place.name for place in fields(policy.places)):
        place = getattr(policy.places, name)
        if isinstance(place, Path):
            yield _line(name, lambda place=place, name=name: _folder(place, reads_only=name == "landing"))  # type: ignore[misc]


def _folder(place: Path, *, reads_only: bool) -> str:
    if not place.exists():
        if reads_only:
            raise InputError(f"{place}: is not there; make it, or correct the profile")
        return f"{place} (not made yet)"
    wanted = os.R_OK | os.X_OK | (0 if reads_only else os.W_OK)
    if not os.access(place, wanted):
        raise StorageError(
            f"{place}: this user cannot {'read' if reads_only else 'write'} it; change its owner or mode"
        )
    return str(place)


def _keys_are_apart(policy: Policy) -> str:
    mode = policy.places.keys.stat().st_mode if policy.places.keys.exists() else 0
    if mode & 0o077:
        raise StorageError(f"{policy.places.keys}: others than its owner can enter it; chmod 700")
    return "in a folder of their own, for its owner alone"


def _room(policy: Policy) -> str:
    full = full_stores(policy.places, policy.alerts.watch.full_percent)
    if full:
        raise StorageError(f"{full[0].subject}: {full[0].summary}; make room")
    return f"less than {policy.alerts.watch.full_percent} percent of each disk is used"


def _channels(policy: Policy, environ: Mapping[str, str], now: datetime) -> Iterator[Line]:
    opened = policy.alerts.open_channels(environ)
    if not opened:
        yield Line(
            "channels", "none is declared, so nobody is told of faults; see assets/alerts/defs.yaml", is_wrong=True
        )
    try:
        dead = {
            f.subject for f in dead_channels(read_alerts(open_lake(policy.places), now), policy.alerts.rules(), opened)
        }
    except AuditError as err:
        yield Line("alerts", str(err), is_wrong=True)
        return
    for name, channel in opened.items():
        if isinstance(channel, PolicyError):
            yield Line(f"channel {name}", str(channel), is_wrong=True)
        elif name in dead:
            yield Line(
                f"channel {name}", "did not take what was last sent; see `audit-pipeline alerts test`", is_wrong=True
            )
        else:
            yield Line(f"channel {name}", "its secrets are set; `audit-pipeline alerts test` tries it")


def _instance(policy: Policy, environ: Mapping[str, str], now: datetime) -> Iterator[Line]:
    home = Path(environ.get("DAGSTER_HOME") or policy.places.dagster)
    if not (home / "dagster.yaml").is_file():
        yield Line("instance", f"{home}: has no dagster.yaml; `audit-pipeline run` or `ui` makes one", is_wrong=True)
        return
    with warnings.catch_warnings(), dg.DagsterInstance.from_config(str(home)) as instance:
        warnings.simplefilter("ignore")
        yield Line("instance", str(home))
        is_on = instance.telemetry_enabled
        yield Line("telemetry", "on; turn it off in dagster.yaml" if is_on else "off", is_wrong=is_on)
        yield from _daemon(instance, now)


def _daemon(instance: dg.DagsterInstance, now: datetime) -> Iterator[Line]:
    states = {state.instigator_name: state for state in instance.all_instigator_state() if state.is_running}
    if TELL_SENSOR not in states:
        yield Line("daemon", f"the sensor {TELL_SENSOR} is not on; start dagster-daemon, turn it on", is_wrong=True)
        return
    state = states[TELL_SENSOR]
    newest = next(iter(instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)), None)
    is_late = newest is None or now.timestamp() - newest.timestamp > _LONG_AGO.total_seconds()
    yield Line("daemon", "does not tick; start dagster-daemon" if is_late else "ticks", is_wrong=is_late)
    if off := [name for name in (SCHEDULE, CLOSING_SCHEDULE) if name not in states]:
        said = f"{', '.join(off)}: off; turn on in the UI, or run `audit-pipeline run` daily"
        yield Line("schedules", said, is_wrong=True)
