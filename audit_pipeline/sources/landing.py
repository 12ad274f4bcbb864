"""Files in the landing zone, by stream and day."""

import errno
import os
import re
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path, PurePosixPath
from urllib.parse import quote_from_bytes

from audit_pipeline.errors import InputError

_WILD = re.compile(r"[*?{]")
_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\{date\}|[^*?{]+|\{")
LATEST_NS = 2**63 - 1
"""The latest time a column of ns holds, in 2262; a later modification time is taken for this."""
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


def list_landing(landing: Path, stream: Stream, day: date | None = None) -> list[Landed]:
    """The stream's files, sorted by path: those of `day`, or all. A stream without dates ignores `day`.

    Raises:
        InputError: a folder cannot be listed, so files could be missed.
    """
    pattern = re.compile(_regex(stream.path), re.DOTALL)
    fixed = landing / stream.fixed_folder
    found = []
    walked = (file for start in _starts(fixed, stream, day) for file in _walk(start, fixed))
    for relative, size, mtime_ns in walked:
        match = pattern.fullmatch(f"{stream.fixed_folder}/{relative}" if stream.fixed_folder.parts else relative)
        if match is None:
            continue
        file_day = _date(match.group("date")) if stream.is_dated else None
        if stream.is_dated and (file_day is None or (day is not None and file_day != day)):
            continue
        found.append(Landed(relative, file_day, size, mtime_ns))
    return sorted(found, key=lambda landed: os.fsencode(landed.path))


def list_untaken(landing: Path, streams: Sequence[Stream], start: date, today: date) -> list[tuple[str, str]]:
    """(path below the landing zone, why) of each landed file that no run takes in as things are."""
    taken, reasons = set(), {}
    for stream in streams:
        for landed in list_landing(landing, stream):
            path = (stream.fixed_folder / landed.path).as_posix()
            if landed.day is None or start <= landed.day <= today:
                taken.add(path)
            else:
                reasons[path] = f"{landed.day} is before the policy's start" if landed.day < start else "a day to come"
    everything = (path for path, _, _ in _walk(landing, landing))
    return sorted((path, reasons.get(path, "no stream's path matches")) for path in everything if path not in taken)


def _starts(fixed: Path, stream: Stream, day: date | None) -> list[Path]:
    """Where to walk from: the folder of `day`, or of each day, where the date is a whole path part that comes first.

    Each walk knows nothing of the others, so a day has the same files whether or not others are asked for.
    """
    rest = PurePosixPath(stream.path).relative_to(stream.fixed_folder).parts
    if rest[0] != "{date}" or len(rest) == 1:
        return [fixed]
    try:
        names = os.listdir(fixed)
    except OSError as err:
        _refuse(err)
        return []
    dated = [fixed / name for name in names if (at := _date(name)) and at.isoformat() == name and day in (None, at)]
    return [path for path in dated if (found := _stat(path)) and stat.S_ISDIR(found.st_mode)]


def _walk(start: Path, fixed: Path) -> Iterator[tuple[str, int, int]]:
    """(path below `fixed`, size, time) of every regular file; a folder with several names is walked under one.

    Links to folders are followed last, so that a folder's own name comes before a link to it. A link to a folder that
    holds `start` is not followed.
    """
    holding = {*start.parents, *Path(os.path.realpath(start)).parents}
    seen = {(found.st_dev, found.st_ino) for path in holding if (found := _stat(path))}
    waiting = deque([start])
    while waiting:
        for folder, folders, files in os.walk(waiting.popleft(), onerror=_refuse):
            here = _stat(Path(folder))
            if here is None or (here.st_dev, here.st_ino) in seen:
                folders.clear()
                continue
            seen.add((here.st_dev, here.st_ino))
            waiting.extend(path for name in sorted(folders) if os.path.islink(path := Path(folder) / name))
            relative = Path(folder).relative_to(fixed).as_posix()
            before = "" if relative == "." else f"{relative}/"
            for name in files:
                found = _stat(f"{folder}/{name}")
                if found is not None and stat.S_ISREG(found.st_mode):  # a pipe or socket has no bytes that stay
                    yield f"{before}{name}", found.st_size, min(max(found.st_mtime_ns, 0), LATEST_NS)


def _refuse(err: OSError) -> None:
    if not isinstance(err, FileNotFoundError):
        raise InputError(
            f"{err.filename}: cannot be listed ({err.strerror}); make it readable for this user, or move it away"
        ) from err


def _stat(path: str | Path) -> os.stat_result | None:
    """None where nothing is behind the name: gone since it was listed, or a link to nowhere."""
    try:
        return os.stat(path)  # a Path for each of many files takes longer than to look at them
    except FileNotFoundError:
        return None
    except OSError as err:
        if err.errno == errno.ELOOP:
            return None
        raise InputError(
            f"{path}: cannot be read ({err.strerror}); make it readable for this user, or move it away"
        ) from err


def _regex(glob: str) -> str:
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "{date}": _DATE}
    return "".join(wild.get(token, re.escape(token)) for token in _TOKEN.findall(glob))


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
