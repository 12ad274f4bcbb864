"""Files in the landing zone, by stream and day."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import PurePosixPath
from urllib.parse import quote_from_bytes

from audit_pipeline.lake.places import Place
from audit_pipeline.sources.zones import Zone, open_zone

_WILD = re.compile(r"[*?{]")
_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\{date\}|[^*?{]+|\{")
_DATE = r"(?P<date>\d{4}-\d{2}-\d{2})"


@dataclass(frozen=True, slots=True)
class Stream:
    """A declared kind of run log. `path` is a glob below the landing zone, with `{date}` where it names the day."""

    name: str
    path: str
    format: str | None = None
    mapping: str | None = None
    """Canonical JSON of the columns that the policy declares."""

    @property
    def is_dated(self) -> bool:
        return "{date}" in self.path

    @property
    def fixed_folder(self) -> PurePosixPath:
        """The leading folders without wildcards: what paths of sources are relative to."""
        return _fixed_folder(self.path)


@lru_cache
def _fixed_folder(path: str) -> PurePosixPath:
    parts = PurePosixPath(path).parts
    fixed = next((n for n, part in enumerate(parts) if _WILD.search(part)), len(parts) - 1)
    return PurePosixPath(*parts[:fixed])


@dataclass(frozen=True, slots=True)
class Landed:
    """A file of a stream. `path` is relative to the stream's fixed folder."""

    path: str
    day: date | None
    size: int
    mtime_ns: int

    @property
    def name(self) -> str:
        """The path as text: where it is not UTF-8, `/`, which starts no path of ours, and its bytes percent-encoded."""
        encoded = os.fsencode(self.path)
        try:
            return encoded.decode()
        except UnicodeDecodeError:
            return "/" + quote_from_bytes(encoded)


def list_landing(landing: Place, stream: Stream, day: date | None = None) -> list[Landed]:
    """The stream's files, sorted by path: those of `day`, or all. A stream without dates ignores `day`.

    Raises:
        InputError: a folder cannot be listed, so files could be missed.
    """
    pattern = re.compile(_regex(stream.path), re.DOTALL)
    zone, fixed, found = open_zone(landing), _path(stream.fixed_folder), []
    walked = (file for start in _starts(zone, stream, day) for file in zone.walk(start, fixed))
    for relative, size, mtime_ns in walked:
        match = pattern.fullmatch(f"{fixed}/{relative}" if fixed else relative)
        if match is None:
            continue
        file_day = _date(match.group("date")) if stream.is_dated else None
        if stream.is_dated and (file_day is None or (day is not None and file_day != day)):
            continue
        found.append(Landed(relative, file_day, size, mtime_ns))
    return sorted(found, key=lambda landed: os.fsencode(landed.path))


def list_untaken(landing: Place, streams: Sequence[Stream], start: date, today: date) -> list[tuple[str, str]]:
    """(path below the landing zone, why) of each landed file that no run takes in as things are."""
    taken, reasons = set(), {}
    for stream in streams:
        for landed in list_landing(landing, stream):
            path = (stream.fixed_folder / landed.path).as_posix()
            if landed.day is None or start <= landed.day <= today:
                taken.add(path)
            else:
                reasons[path] = f"{landed.day} is before the policy's start" if landed.day < start else "a day to come"
    everything = (path for path, _, _ in open_zone(landing).walk("", ""))
    return sorted((path, reasons.get(path, "no stream's path matches")) for path in everything if path not in taken)


def _starts(zone: Zone, stream: Stream, day: date | None) -> list[str]:
    """Where to walk from: the folder of `day`, or of each day, where the date is a whole path part that comes first.

    Each walk knows nothing of the others, so a day has the same files whether or not others are asked for.
    """
    rest, fixed = PurePosixPath(stream.path).relative_to(stream.fixed_folder).parts, stream.fixed_folder
    if rest[0] != "{date}" or len(rest) == 1:
        return [_path(fixed)]
    names = zone.folders(
        _path(fixed), lambda name: bool((at := _date(name)) and at.isoformat() == name and day in (None, at))
    )
    return [_path(fixed / name) for name in names]


def _path(of: PurePosixPath) -> str:
    return of.as_posix() if of.parts else ""


def _regex(glob: str) -> str:
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "{date}": _DATE}
    return "".join(wild.get(token, re.escape(token)) for token in _TOKEN.findall(glob))


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
