"""Commands that run the pipeline: run, ui, demo."""

import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit_pipeline.cli.here import CANNOT_TELL, DAY, DOES_NOT_HOLD, passphrase, policy_here, utc_now
from audit_pipeline.cli.printing import print_table
from audit_pipeline.cli.summary import print_taken_in, print_untaken

if TYPE_CHECKING:
    from audit_pipeline.cli.jobs import DayRun, ReleaseRun
    from audit_pipeline.lake.opened import Lake
    from audit_pipeline.policy import Policy
    from audit_pipeline.sources.landing import Landed, Stream
    from audit_pipeline.sources.zones import Zone


@click.command()
@click.option("--date", "first", type=DAY, metavar="D", help="This day alone, or the first of several with --to.")
@click.option("--to", "last", type=DAY, metavar="D", help="The last day.")
@click.option("--rehash", is_flag=True, help="Read files that look unchanged too; without --date on all days.")
@click.option("--dry-run", is_flag=True, help="Only list the files, with their formats and sizes.")
def run(first: datetime | None, last: datetime | None, rehash: bool, dry_run: bool) -> None:
    """Take in, seal and verify days; without --date all that have something to do, up to today (UTC)."""
    from audit_pipeline.cli.jobs import run_days
    from audit_pipeline.ingest import days_to_run
    from audit_pipeline.lake.keys import load_person_keys
    from audit_pipeline.lake.opened import open_lake
    from audit_pipeline.signers import load_signers

    policy = policy_here()
    asked = _asked(policy, first.date() if first else None, last.date() if last else None)
    if dry_run:
        _list_landed(policy, asked)
        return
    lake = open_lake(policy.places)
    load_signers(policy.places, passphrase())  # say at once that a key is missing or does not open
    load_person_keys(policy.places.keys, passphrase())
    days = asked or days_to_run(lake, policy.streams, policy.start, today=utc_now().date(), rehash=rehash)
    codes, started = [], utc_now()
    for done in _with_progress(run_days(policy.root, policy.places.dagster, days, rehash=rehash), len(days)):
        state = "taken in; its data is not as it must be" if done.findings else "done"
        page = policy.places.reports / "quality" / f"{done.day}.html"
        warned = f", {done.warnings} warnings of data quality: {page}" if done.warnings else ""
        click.echo(f"{done.day}  {_state(done, state)}  run {done.run_id}{warned}")
        codes.append(_tell((*done.failures, *done.findings), done.errors))
    done_days = codes.count(0)
    if not asked:
        codes += [*_release(policy, lake), _close(policy, days[-1])]
    print_taken_in(policy, lake, days, started)
    print_untaken(policy)
    click.echo(f"{done_days} of {len(days)} days done; lake {policy.places.lake}, log {policy.places.log}")
    if any(codes):
        click.echo(
            "audit-pipeline: not all went well; `audit-pipeline ui` shows the runs, `verify` what does not hold",
            err=True,
        )
        click.get_current_context().exit(min(filter(None, codes)))


def _state(done: "DayRun | ReleaseRun", otherwise: str) -> str:
    return "FAILED" if done.failures or done.errors else otherwise


def _tell(failures: Sequence[str], errors: Sequence[str]) -> int:
    """Print what did not go well; the exit code that it makes: what does not hold before what cannot be told."""
    for line in (*failures, *errors):
        click.echo(f"  {line}", err=True)
    return DOES_NOT_HOLD if failures else CANNOT_TELL if errors else 0


def _release(policy: "Policy", lake: "Lake") -> Iterator[int]:
    """Publish the summaries that are due, as the schedules do; the exit code of each."""
    if policy.summaries is None:
        return
    from audit_pipeline.cli.jobs import run_releases
    from audit_pipeline.privacy.unit import CADENCES
    from audit_pipeline.releasing.due import due_releases

    today = utc_now().date()
    due = [one for cadence in CADENCES for one in due_releases(lake, policy.summaries, cadence, today)]
    for done in run_releases(policy.root, policy.places.dagster, due):
        click.echo(f"{done.release}, {done.window}  {_state(done, 'published')}  run {done.run_id}")
        yield _tell(done.failures, done.errors)


def _close(policy: "Policy", day: date) -> int:
    """Seal what was written about the day since, judge the controls on it, as a schedule does; the exit code."""
    from audit_pipeline.cli.jobs import run_closing

    done = run_closing(policy.root, policy.places.dagster, day)
    controls = ", ".join(f"{number} {status}" for status, number in done.controls.items())
    click.echo(f"{day}  {_state(done, 'closed')}  run {done.run_id}; controls: {controls or 'none'}")
    return _tell((*done.failures, *done.findings), done.errors)


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port of the UI.")
def ui(port: int) -> None:
    """Open Dagster's UI on this policy, at http://127.0.0.1:PORT, until Ctrl-C."""
    from audit_pipeline.cli.jobs import prepare_instance

    policy = policy_here()
    _require_free(port)
    prepare_instance(policy.places.dagster)
    arguments, environ = ui_command(policy, port)
    os.chdir(policy.root)
    # A shell starts what runs beside it deaf to Ctrl-C, and Dagster then heeds no SIGTERM either.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execve(arguments[0], arguments, {**os.environ, **environ})  # noqa: S606 - our own interpreter


def _require_free(port: int) -> None:
    """Check that nobody listens on the port: `dagster dev` would go on without its webserver."""
    from audit_pipeline.errors import InputError

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as err:
            raise InputError(f"port {port}: {err.strerror}; choose another with --port") from err


def ui_command(policy: "Policy", port: int) -> tuple[list[str], dict[str, str]]:
    """The command behind `ui`, and what it needs in the environment."""
    workspace = str(policy.root / "workspace.yaml")
    command = ["-P", "-m", "dagster", "dev", "--workspace", workspace, "--host", "127.0.0.1", "--port", str(port)]
    return [sys.executable, *command], {"DAGSTER_HOME": str(policy.places.dagster), "AUDIT_POLICY": str(policy.root)}


@click.command()
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("audit-demo"),
    show_default=True,
    help="A folder for the demo alone: emptied when it runs again.",
)
@click.option(
    "--records", type=click.IntRange(100), default=2000, show_default=True, help="About how many sample records."
)
def demo(home: Path, records: int) -> None:
    """Sample logs of several tools through the daily job, verified, then tampered with in a copy to see it found."""
    from audit_pipeline.demo import run_demo

    run_demo(home.absolute(), records, utc_now().date(), os.environ, click.echo)


def _asked(policy: "Policy", first: date | None, last: date | None) -> list[date]:
    """The days that were asked for, in order; empty where none were."""
    from audit_pipeline.errors import InputError

    if first is None:
        if last is not None:
            raise click.UsageError("--to needs --date")
        return []
    last, today = last or first, utc_now().date()
    if not policy.start <= first <= last <= today:
        raise InputError(
            f"{first} to {last}: expected days in order, from {policy.start} (start) to {today} (today, UTC)"
        )
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _list_landed(policy: "Policy", days: list[date]) -> None:
    """Print the landed files of these days, or of all days where none are given. Nothing is written."""
    from audit_pipeline.sources.landing import list_landing
    from audit_pipeline.sources.zones import open_zone

    landing, rows = policy.places.landing, []
    zone = open_zone(landing)
    for stream in policy.streams:
        for landed in list_landing(landing, stream):
            if not days or landed.day is None or landed.day in days:
                format_name = _format(zone, landed, stream)
                rows.append((landed.day, stream.name, landed.path, landed.size, format_name))
    print_table(("day", "stream", "path", "bytes", "format"), rows)
    print_untaken(policy)


def _format(zone: "Zone", landed: "Landed", stream: "Stream") -> str:
    from audit_pipeline.errors import InputError
    from audit_pipeline.sources.planning import detect_landed

    path = (stream.fixed_folder / landed.path).as_posix()
    try:
        with zone.open(path) as opened:
            return detect_landed(opened.file, landed.path, stream.format)[0].format
    except FileNotFoundError:
        return "gone"  # since it was listed; a run passes it over
    except OSError as err:
        raise InputError(
            f"{zone.root / path}: cannot be read ({err.strerror or err}); give this user read access and run again"
        ) from err


def _with_progress(done: Iterator["DayRun"], total: int) -> Iterator["DayRun"]:
    """The same runs, behind a bar on a terminal."""
    if not sys.stderr.isatty():
        yield from done
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(done, "days", total=total, console=Console(stderr=True))
