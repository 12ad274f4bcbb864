"""Commands that read: verify, query, status."""

import dataclasses
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit_pipeline.cli.here import DAY, lake_here, passphrase, policy_here, utc_now
from audit_pipeline.cli.printing import as_text, csv_line, print_json, print_table, waiting
from audit_pipeline.errors import InputError

CURES = {
    "self-consistent": "see the problems, and restore what they name from a backup",
    "extends-own-mark": "see the problems; without any, bring the folder of marks back and keep it",
    "signed": "give --trust FILE with the line `log <vkey>`, the vkey as you were told it",
    "extends-held": "give --trust FILE with a checkpoint that you hold, as --save-trust keeps one",
    "witnessed": "give --trust FILE with witnesses and a quorum, whose cosignatures the checkpoint has",
    "timestamped": "give --trust FILE with a line `timestamper`; without problems, run again until the stamp is there",
}
"""The levels that can be required, each with what to do where it is not shown."""

if TYPE_CHECKING:
    from audit_pipeline.lake.opened import Lake
    from audit_pipeline.tlog.trust import Trust
    from audit_pipeline.verify import Verification


@click.command()
@click.option("--from", "first", type=DAY, metavar="D", help="First day whose rows are checked (default: all days).")
@click.option("--to", "last", type=DAY, metavar="D", help="Last day.")
@click.option(
    "--trust",
    "trust_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What you believe: `log <vkey>`, witnesses, a checkpoint you hold (default: the key beside the lake).",
)
@click.option(
    "--save-trust",
    "save_to",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to keep what was believed and the checkpoint that held, to give with --trust next time.",
)
@click.option(
    "--require",
    "required",
    multiple=True,
    type=click.Choice(list(CURES)),
    help="Fail unless this is shown.",
)
@click.option("--derive", is_flag=True, help="Make the event tables again and compare them; needs the home's keys.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def verify(
    first: datetime | None,
    last: datetime | None,
    trust_file: Path | None,
    save_to: Path | None,
    required: tuple[str, ...],
    derive: bool,
    as_json: bool,
) -> None:
    """Compare what is stored with what was signed, and say what holds."""
    from audit_pipeline.attest.stamps import require_library
    from audit_pipeline.cli.trusting import read_trust, save_trust
    from audit_pipeline.lake.keys import load_person_keys
    from audit_pipeline.verify.apart import verify_apart

    if first and last and first > last:
        raise click.UsageError("--from is after --to")
    trust = read_trust(trust_file) if trust_file else None
    if trust and trust.timestampers:
        require_library()
    lake = lake_here(trust)
    _require_begun(lake, trust)
    people = load_person_keys(lake.places.keys, passphrase()) if derive else None
    first_day, last_day = first.date() if first else None, last.date() if last else None
    with waiting("verifying"):
        found = verify_apart(lake, first=first_day, last=last_day, trust=trust, people=people)
    missing = [level for level in required if level not in found.levels]
    if as_json:
        print_json({**dataclasses.asdict(found), "missing": missing, "holds": not found.problems and not missing})
    else:
        print_verification(found)
        for level in missing:
            click.echo(f"audit-pipeline: {level} was required and is not shown: {CURES[level]}", err=True)
    if found.problems or missing:
        click.get_current_context().exit(1)
    if save_to is not None:
        save_trust(save_to, trust_file, trust, lake, found.checkpoint)


def _require_begun(lake: "Lake", trust: "Trust | None") -> None:
    """Check that there is anything to verify: in a new home nothing holds, and nothing is wrong.

    What was emptied is not new: a mark, or a checkpoint that somebody holds, says that there was a log.

    Raises:
        InputError: nothing was taken in yet.
    """
    from audit_pipeline.lake.declared import EVIDENCE_TABLES
    from audit_pipeline.lake.stores import open_store

    tables = [open_store(table.uri(lake.places)) for table in EVIDENCE_TABLES]
    has_traces = lake.log.exists("checkpoint") or any(any(store.listed()) for store in (lake.marks, *tables))
    if not has_traces and (trust is None or not trust.held):
        raise InputError(f"{lake.places.lake}: nothing was taken in yet; run `audit-pipeline run` first")


def print_verification(found: "Verification") -> None:
    counts = [("days", found.days), ("files", found.files), ("sources", found.sources), ("records", found.records)]
    counts += [("log entries", found.log_size), ("records not sealed yet", found.unsealed_records)]
    click.echo(f"shown: {', '.join(found.levels) or 'nothing'}")
    click.echo("checked: " + ", ".join(f"{number} {name}" for name, number in counts))
    for note in found.notes:
        click.echo(f"note: {as_text(note)}")
    if found.problems:
        columns = ("table", "day", "source", "position", "message")
        print_table(columns, [dataclasses.astuple(problem) for problem in found.problems])
    click.echo(
        f"{len(found.problems)} problems: the evidence does NOT hold"
        if found.problems
        else "no problems: the evidence holds"
    )


@click.command()
@click.argument("sql")
@click.option("--json", "style", flag_value="json", help="A line of JSON a row.")
@click.option("--csv", "style", flag_value="csv", help="CSV with a header; values are escaped on a terminal only.")
def query(sql: str, style: str | None) -> None:
    """Run SQL (DuckDB) over all tables of the lake, by name."""
    from audit_pipeline.lake.query import connect, read_rows

    with connect(policy_here().places) as database:
        columns, rows = read_rows(database, sql)
    if style == "json":
        for row in rows:
            print_json(dict(zip(columns, row, strict=True)))
    elif style == "csv":
        for line in (columns, *rows):
            # Not click.echo, which takes out what looks like colour.
            sys.stdout.write(csv_line(line, is_terminal=sys.stdout.isatty()) + "\n")
    else:
        print_table(columns, rows)


@click.command()
@click.option(
    "--json", "as_json", is_flag=True, help="For programs: keys ingest, seals, privacy, quality, controls, places."
)
def status(as_json: bool) -> None:
    """What is taken in, sealed and spent of the privacy budget, and the places in use. Reads only; `verify` checks."""
    from audit_pipeline.cli.state import read_state

    state = read_state(policy_here(), utc_now())
    if as_json:
        print_json(state)
        return
    for part, fields in state.items():
        if fields is None:
            continue
        click.echo(f"{part}:")
        for name, value in fields.items():
            if name != "streams":
                click.echo(f"  {name}: {as_text(value)}")
        for stream, counts in fields.get("streams", {}).items():
            click.echo(f"  {stream}: " + ", ".join(f"{name} {as_text(number)}" for name, number in counts.items()))
