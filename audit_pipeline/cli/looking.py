"""Commands that read: verify, query, status."""

import csv
import dataclasses
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit_pipeline.cli.here import DAY, lake_here, policy_here
from audit_pipeline.cli.printing import as_text, print_json, print_table, waiting

if TYPE_CHECKING:
    from audit_pipeline.verify import Verification


@click.command()
@click.option("--from", "first", type=DAY, metavar="D", help="First day whose rows are checked (default: all days).")
@click.option("--to", "last", type=DAY, metavar="D", help="Last day.")
@click.option(
    "--trust",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with lines `log <vkey>`: the keys you trust. Without it the key beside the lake is used.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def verify(first: datetime | None, last: datetime | None, trust: Path | None, as_json: bool) -> None:
    """Derive the evidence again from what is stored, and say what holds."""
    from audit_pipeline import verify as verifying

    days = {"first": first.date() if first else None, "last": last.date() if last else None}
    if first and last and first > last:
        raise click.UsageError("--from is after --to")
    vkeys = read_trust(trust) if trust else ()
    with waiting("verifying"):
        found = verifying.verify(lake_here(), **days, vkeys=vkeys)
    if as_json:
        print_json({**dataclasses.asdict(found), "holds": not found.problems})
    else:
        print_verification(found)
    if found.problems:
        click.get_current_context().exit(1)


def read_trust(file: Path) -> list[str]:
    """The vkeys of a trust file: lines `log <vkey>`; empty lines and lines that start with `#` are skipped.

    Raises:
        InputError: another line, or no key at all. An empty list would mean the key beside the lake.
    """
    from audit_pipeline.errors import InputError

    vkeys = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] != "log" or len(words) != 2:
            raise InputError(f"{file}:{number}: expected `log <vkey>`, got {line!r}")
        vkeys.append(words[1])
    if not vkeys:
        raise InputError(f"{file}: no line `log <vkey>`; copy the vkey you were given into it")
    return vkeys


def print_verification(found: "Verification") -> None:
    counts = [("days", found.days), ("sources", found.sources), ("records", found.records)]
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
@click.option("--csv", "style", flag_value="csv", help="CSV with a header.")
def query(sql: str, style: str | None) -> None:
    """Run SQL (DuckDB) over all tables of the lake, by name."""
    import duckdb

    from audit_pipeline.errors import InputError
    from audit_pipeline.lake.query import connect

    with connect(policy_here().places.lake) as database:
        try:
            found = database.execute(sql)
            if found is None:
                raise InputError("query: no statement; give one in quotes")
            rows = found.fetchall()
        except duckdb.Error as err:
            raise InputError(f"query: {' '.join(str(err).split())}") from err
        columns = [column[0] for column in found.description or ()]
    if style == "json":
        for row in rows:
            print_json(dict(zip(columns, row, strict=True)))
    elif style == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([["" if value is None else as_text(value) for value in row] for row in rows])
    else:
        print_table(columns, rows)


@click.command()
@click.option(
    "--json", "as_json", is_flag=True, help="For programs: keys ingest, seals, privacy, quality, controls, places."
)
def status(as_json: bool) -> None:
    """What is taken in and sealed, how large the lake is, and the places in use. Reads only; `verify` checks."""
    from audit_pipeline.cli.state import read_state

    state = read_state(policy_here())
    if as_json:
        print_json(state)
        return
    for part, fields in state.items():
        if not isinstance(fields, dict):
            click.echo(f"{part}: none in this policy")
            continue
        click.echo(f"{part}:")
        for name, value in fields.items():
            if name != "streams":
                click.echo(f"  {name}: {as_text(value)}")
        for stream, counts in fields.get("streams", {}).items():
            click.echo(f"  {stream}: " + ", ".join(f"{name} {as_text(number)}" for name, number in counts.items()))
