"""The registry of adapters, and the event rows of records. A new tool is one file and one word in `_TOOLS`.

Other packages add theirs by an entry point of the group PLUGINS (docs/your-own-format.md).
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import numpy as np
import pyarrow as pa

from audit_pipeline.containers.json_text import nests_too_deep
from audit_pipeline.errors import PolicyError, did_you_mean
from audit_pipeline.formats import (
    alpaca_eval,
    arena,
    arena_hard,
    argilla,
    checkpoints,
    generic,
    helpsteer,
    hh_red_team,
    judge_scores,
    label_studio,
    mapped_csv,
    mlflow,
    model_card,
    nemo_aligner,
    nemo_rl,
    oasst,
    open_instruct,
    preference,
    prism,
    tensorboard,
    texts,
    trl,
    ultrafeedback,
    verl,
    wandb,
    wandb_files,
)
from audit_pipeline.formats.adapter import Adapter, SourceContext
from audit_pipeline.formats.generic import CONTAINERS
from audit_pipeline.formats.record import parse_objects, parse_record
from audit_pipeline.formats.rows import EventRows
from audit_pipeline.records.pseudonyms import PersonKeys

_TOOLS = (
    trl,
    verl,
    preference,
    texts,
    hh_red_team,
    judge_scores,
    alpaca_eval,
    arena_hard,
    helpsteer,
    ultrafeedback,
    argilla,
    label_studio,
    mapped_csv,
    checkpoints,
    model_card,
    nemo_aligner,
    nemo_rl,
    open_instruct,
    tensorboard,
    oasst,
    arena,
    prism,
    mlflow,
    wandb,
    wandb_files,
    generic,
)
_UNREAD = object()
_AT_ONCE = 256  # records, of which one that is odd slows all
_MANY = 64  # records of a source, for which columns are made faster than rows
_READABLE = frozenset({"ok", "partial_tail"})

PLUGINS = "rlhf_audit_pipeline.formats"


def registered(plugins: Iterable[EntryPoint]) -> dict[str, Adapter]:
    """Every format by name: our own, and those of the entry points.

    Raises:
        PolicyError: a plugin cannot be loaded, is not a tuple of adapters, or takes a name that is taken.
    """
    found = {adapter.name: adapter for tool in _TOOLS for adapter in tool.ADAPTERS}
    for plugin in plugins:
        what = f"format plugin {plugin.name} ({plugin.value})"
        try:
            adapters = plugin.load()
        except (ImportError, AttributeError) as err:
            raise PolicyError(f"{what}: cannot be loaded: {err}; mend or uninstall its package") from err
        if not isinstance(adapters, tuple) or not all(isinstance(adapter, Adapter) for adapter in adapters):
            raise PolicyError(f"{what}: expected a tuple of Adapter; mend or uninstall its package")
        for adapter in adapters:
            if adapter.name in found:
                raise PolicyError(f"{what}: the format {adapter.name!r} exists already; give it another name")
            if unknown := set(adapter.containers) - set(CONTAINERS):
                raise PolicyError(
                    f"{what}: {adapter.name} reads {min(unknown)!r}; containers are {', '.join(CONTAINERS)}"
                )
            found[adapter.name] = adapter
    return found


ADAPTERS = registered(entry_points(group=PLUGINS))
"""Every format by name."""


def adapter_named(name: str) -> Adapter:
    """The adapter of a format.

    Raises:
        PolicyError: there is none of this name.
    """
    if name not in ADAPTERS:
        cure = did_you_mean(name, sorted(ADAPTERS), "give one of docs/formats.md")
        raise PolicyError(f"format {name!r} is not known; {cure}")
    return ADAPTERS[name]


@dataclass(frozen=True, slots=True)
class Part:
    """Records of one snapshot that follow each other."""

    source: SourceContext
    positions: Sequence[int]
    records: Sequence[bytes]
    statuses: Sequence[str]

    def of(self, places: Sequence[int]) -> "Part":
        """The records at these places of the part."""
        positions, records, statuses = self.positions, self.records, self.statuses
        return Part(
            self.source,
            [positions[at] for at in places],
            [records[at] for at in places],
            [statuses[at] for at in places],
        )


def derive_rows(
    format: str, source: SourceContext, records: Iterable[tuple[int, bytes, str]], people: PersonKeys
) -> dict[str, pa.Table]:
    """The event rows of (position, record, status) of one snapshot; else as `derive_parts`."""
    given = list(records)
    part = Part(source, [row[0] for row in given], [row[1] for row in given], [row[2] for row in given])
    return derive_parts(format, [part], people)


def derive_parts(format: str, parts: Iterable[Part], people: PersonKeys) -> dict[str, pa.Table]:
    """The event rows of some records, by table; a table without rows is not there.

    The same records give the same rows, however they are cut into calls. A record that can be read, and that the
    adapter of a tool does not understand, gives a finding that says so.

    Raises:
        PolicyError: the format is not known.
    """
    adapter = adapter_named(format)
    rows = EventRows(adapter.name, adapter.version, people)
    for part in parts if adapter.has_events else ():
        rows.begin(part.source)
        _add_rows(adapter, _add_columns(adapter, part, rows), rows)
    return rows.tables()


def _add_columns(adapter: Adapter, part: Part, rows: EventRows) -> Part:
    """Add the events of the records that are alike, by column; gives back the others."""
    if adapter.columns is None or len(part.records) < _MANY:
        return part
    places: list[int] = []
    values: list[dict[str, Any]] = []
    for first in range(0, len(part.records), _AT_ONCE):
        found = _plain_objects(adapter, part.records[first : first + _AT_ONCE], part.statuses[first : first + _AT_ONCE])
        values += found or ()
        places += range(first, first + len(found or ()))
    kinds = Counter(map(tuple, values))
    if not kinds:
        return part
    keys = max(kinds, key=kinds.__getitem__)
    if len(kinds) > 1:
        places = [at for at, value in zip(places, values, strict=True) if tuple(value) == keys]
        values = [value for value in values if tuple(value) == keys]
    fields = dict(zip(keys, zip(*map(dict.values, values), strict=True), strict=True))
    blocks = adapter.columns(part.source, np.array(part.positions, np.int64)[places], fields)
    if blocks is None:
        return part
    for table, positions, columns in blocks:
        rows.add_columns(table, positions, columns)
    return part.of(sorted(set(range(len(part.records))).difference(places)))


def _add_rows(adapter: Adapter, part: Part, rows: EventRows) -> None:
    unread: dict[int, str] = {}
    given = set()
    values = _values(adapter, part, unread)
    for position, table, of_event in adapter.events(part.source, values):
        given.add(position)
        rows.add(position, table, of_event)
    deque(values, maxlen=0)  # of an adapter that stops early, the others are findings as well
    for position in sorted(unread.keys() - given):
        rows.add_no_event(position, unread[position])


def _values(adapter: Adapter, part: Part, unread: dict[int, str]) -> Iterator[tuple[int, Any]]:
    """(position, value) of what can be read; `unread` says why a record gives no event, if it then gives none."""
    waits = adapter.needs_newline(part.source.path)
    unknown = f"not of a shape that {adapter.name} {adapter.version} knows"
    for first in range(0, len(part.records), _AT_ONCE):
        some = part.of(range(first, min(first + _AT_ONCE, len(part.records))))
        plain = _plain_objects(adapter, some.records, some.statuses)
        if plain is not None:
            unread.update(dict.fromkeys(some.positions, unknown))
            yield from zip(some.positions, plain, strict=True)
            continue
        for position, record, status in zip(some.positions, some.records, some.statuses, strict=True):
            if status not in _READABLE:
                continue
            why = unknown
            if status != "ok" and waits:
                unread[position] = "may be half a line: it has no newline yet"
                continue
            if nests_too_deep(record):
                why, value = "nested too deep", _UNREAD
            else:
                try:
                    value = adapter.parse(record)
                except ValueError:
                    why, value = "no value" if record.strip() else "blank", _UNREAD
            if status == "ok" or value is not _UNREAD:  # else its row in `records` has the reason
                unread[position] = why
            if value is not _UNREAD:
                yield position, value


def _plain_objects(adapter: Adapter, records: Sequence[bytes], statuses: Sequence[str]) -> list[Any] | None:
    """Their values, where all can be read at once."""
    if adapter.parse is not parse_record or any(status != "ok" for status in statuses):
        return None
    return parse_objects(records)
