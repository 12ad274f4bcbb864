"""Commands that make and check evidence for others: prove, check."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audit_pipeline.cli.here import DAY, policy_here
from audit_pipeline.cli.printing import waiting

if TYPE_CHECKING:
    from audit_pipeline.lake.opened import Lake
    from audit_pipeline.lookup import RecordName
    from audit_pipeline.policy import Policy
    from audit_pipeline.tlog import Checkpoint

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_NEW_FILE = click.Path(dir_okay=False, path_type=Path)
_COUNT = click.IntRange(0)


@click.command()
@click.option(
    "--file", type=click.Path(path_type=Path), metavar="PATH", help="A landed file, with --line or --position."
)
@click.option("--line", type=click.IntRange(1), metavar="N", help="A line of the file, from 1.")
@click.option("--event", metavar="ID", help="An event: the column event_id of its row.")
@click.option("--source", metavar="ID", help="A source: the column source_id of its rows, with --position.")
@click.option(
    "--position", type=_COUNT, metavar="N", help="A record of the file or source: the column position, from 0."
)
@click.option("--generation", type=_COUNT, metavar="N", help="Of the file or source (default: the newest).")
@click.option("--snapshot", type=_COUNT, metavar="N", help="Of the generation (default: the newest with the record).")
@click.option(
    "--list", "list_file", type=_FILE, metavar="FILE", help="Lines of an event's ID, or of a source's ID and N."
)
@click.option("--day", type=DAY, metavar="D", help="A seal of the day: writes a .tlog-proof, and the seal to --entry.")
@click.option("--segment", type=click.IntRange(1), metavar="N", help="Which seal of the day (default: its last).")
@click.option("-o", "out", type=_NEW_FILE, metavar="FILE", required=True, help="A new file to write.")
@click.option("--entry", type=_NEW_FILE, metavar="FILE", help="With --day: a new file for the seal entry.")
@click.option("--trust", type=_FILE, metavar="FILE", help="A trust file: its checkpoint is joined to this log's.")
def prove(
    day: datetime | None, segment: int | None, out: Path, entry: Path | None, trust: Path | None, **named: Any
) -> None:
    """Write evidence of some sealed records, or of a day, for whoever checks offline with `check`."""
    from audit_pipeline import prove as proving
    from audit_pipeline.lake.opened import open_lake
    from audit_pipeline.tlog import parse_seal

    asked = _Asked(**named)
    if (day is None) != (entry is None):
        raise click.UsageError("--day and --entry go together")
    if day is not None and (trust is not None or asked != _Asked()):
        raise click.UsageError("--day goes with --segment, -o and --entry alone")
    if day is None and segment is not None:
        raise click.UsageError("--segment goes with --day")
    _require_new([path for path in (out, entry) if path])
    if day and entry:
        proof, written = proving.prove_day(open_lake(policy_here().places), day.date(), segment)
        _write_new(entry, written)
        _write_new(out, proof)
        seal = parse_seal(written)
        what = f"{day.date()}, segment {seal.segment}: {seal.sources} sources, {seal.records} records"
        click.echo(f"{out}: the proof of {what}; {entry}: its seal entry")
        return
    asked.check()
    held = _held(trust) if trust else None
    policy = policy_here()
    lake = open_lake(policy.places)
    with waiting("proving"):
        names = _names(policy, lake, asked)
        bundle = proving.prove_records(lake, names, held)
    _write_new(out, bundle)
    click.echo(f"{out}: {len(set(names))} records, {len(bundle)} bytes; whoever has the vkey can `check` it")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--trust", type=click.Path(path_type=Path), metavar="FILE", required=True, help="What you trust: a trust file."
)
@click.option(
    "--entry", type=click.Path(path_type=Path), metavar="FILE", help="The seal entry that a .tlog-proof is of."
)
@click.option(
    "--handover",
    "handovers",
    type=_FILE,
    metavar="FILE",
    multiple=True,
    help="For a day proof: the log's `keys/1` and so on, where you trust a key of before.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs; contents are base64.")
@click.option("--show", is_flag=True, help="Print the contents of records too.")
def check(file: Path, trust: Path, entry: Path | None, handovers: tuple[Path, ...], as_json: bool, show: bool) -> None:
    """Check the bundle or .tlog-proof FILE offline: no project, no lake, no network."""
    from audit_pipeline.check import check_files

    for text in check_files(file, trust, entry, handovers, as_json=as_json, show=show):
        click.echo(text)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options that say which records are meant."""

    file: Path | None = None
    line: int | None = None
    event: str | None = None
    source: str | None = None
    position: int | None = None
    generation: int | None = None
    snapshot: int | None = None
    list_file: Path | None = None

    def check(self) -> None:
        """Check that they name one thing."""
        if sum(option is not None for option in (self.file, self.event, self.source, self.list_file)) != 1:
            raise click.UsageError("give one of --file, --event, --source, --list and --day")
        is_of_source = self.file is not None or self.source is not None
        if (self.line is not None) + (self.position is not None) != is_of_source or (self.line and self.source):
            raise click.UsageError("--file takes --line or --position, --source takes --position, the others neither")
        if not is_of_source and (self.generation is not None or self.snapshot is not None):
            raise click.UsageError("--generation and --snapshot go with --file or --source")


def _names(policy: "Policy", lake: "Lake", asked: _Asked) -> "list[RecordName]":
    from audit_pipeline import lookup

    if asked.event is not None:
        return lookup.find_by_event(lake, [asked.event])
    if asked.list_file is not None:
        return lookup.find_list(lake, asked.list_file.read_bytes().decode("ascii", "replace"))
    at = lookup.At(asked.position or 0 if asked.line is None else asked.line - 1, asked.generation, asked.snapshot)
    if asked.file is None:
        return lookup.find_at(lake, [(asked.source or "", at)])
    paths = lookup.paths_below(policy.places.landing, asked.file, Path.cwd())
    return [lookup.find_by_file(lake, policy.streams, paths, at, is_line=asked.line is not None)]


def _held(trust: Path) -> "Checkpoint":
    """The checkpoint that a trust file holds."""
    from audit_pipeline.cli.trusting import read_trust
    from audit_pipeline.errors import InputError
    from audit_pipeline.tlog import open_checkpoint

    parsed = read_trust(trust)
    if parsed.held is None:
        raise InputError(f"{trust}: holds no checkpoint: append the one you hold, or leave out --trust")
    return open_checkpoint(parsed.held, parsed.logs)[0]


def _require_new(files: list[Path]) -> None:
    """Check that nothing would be overwritten, before the work is done."""
    from audit_pipeline.errors import InputError

    for file in files:
        if file.exists() or file.is_symlink():
            raise InputError(f"{file}: exists, and nothing is overwritten: give another name")
    if len(set(files)) != len(files):
        raise InputError(f"{files[0]}: is named twice: give -o and --entry a file each")


def _write_new(file: Path, content: bytes) -> None:
    from audit_pipeline.errors import InputError

    try:
        with file.open("xb") as new:
            new.write(content)
    except OSError as err:
        raise InputError(f"{file}: cannot be written: {err.strerror}; give another name") from err
