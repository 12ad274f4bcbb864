"""Trust files of the commands that check."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit_pipeline.errors import InputError

if TYPE_CHECKING:
    from audit_pipeline.lake.opened import Lake
    from audit_pipeline.tlog.trust import Trust


def read_trust(file: Path) -> "Trust":
    """What a trust file says.

    Raises:
        InputError: it names the file, the line and the cure.
    """
    from audit_pipeline.tlog.trust import parse_trust

    try:
        return parse_trust(file.read_bytes())
    except InputError as err:
        raise InputError(f"{file}: {err}") from err


def save_trust(file: Path, given_file: Path | None, given: "Trust | None", lake: "Lake", checkpoint: str) -> None:
    """Keep what was believed, with the checkpoint that was checked as the one held. The file that was given is renewed.

    A key of the log that is no longer in force is replaced by the one that is: somebody else may have the old one.

    Raises:
        InputError: another file is there already: what somebody believed is never overwritten.
    """
    from audit_pipeline.lake.objects import Folder
    from audit_pipeline.tlog import parse_vkey
    from audit_pipeline.tlog.trust import Trust, format_trust

    is_same = given_file is not None and file.exists() and file.samefile(given_file)
    trust = _with_key_in_force(given or Trust((parse_vkey(lake.vkey),)), lake, checkpoint.encode())
    content = format_trust(dataclasses.replace(trust, held=checkpoint.encode()))
    folder = Folder(file.absolute().parent)
    if is_same:
        folder.replace(file.name, content)
    elif not folder.put_new(file.name, content):
        raise InputError(f"{file}: exists; give it with --trust too, or name another file")
    click.echo(f"trust file {file}: give it with --trust next time")
    if given is None:
        click.echo(f"note: it believes the key beside the lake; compare with the vkey you were told: {lake.vkey}")


def _with_key_in_force(trust: "Trust", lake: "Lake", checkpoint: bytes) -> "Trust":
    from audit_pipeline.lake.logbook import published_keys
    from audit_pipeline.tlog import open_checkpoint

    keys = published_keys(lake)
    head, _ = open_checkpoint(checkpoint, (*keys.keys, *trust.logs))
    logs = {keys.in_force(head.size) if log in keys.keys else log: None for log in trust.logs}
    return dataclasses.replace(trust, logs=tuple(logs))
