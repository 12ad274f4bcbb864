"""The command: files in, lines of text or JSON out, and an exit code."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from audit_pipeline.check.checking import (
    CheckedHead,
    CheckedRecord,
    CheckedReport,
    check_bundle,
    check_day,
    check_report,
)
from audit_pipeline.errors import AuditError, InputError, ProofError
from audit_pipeline.tlog.encoding import format_base64
from audit_pipeline.tlog.report_bundle import ZIP_MAGIC
from audit_pipeline.tlog.trust import Trust, parse_trust


def check_files(
    file: Path,
    trust_file: Path,
    entry_file: Path | None,
    handover_files: Sequence[Path] = (),
    *,
    as_json: bool,
    show: bool,
) -> list[str]:
    """The lines to print of a bundle, or, with the file of an entry, of a day proof.

    `show` adds the contents of records. No line holds a character that a terminal would obey.

    Raises:
        InputError: a file cannot be read, or the trust file is wrong.
        ProofError: what the file says does not hold, or it cannot be parsed.
    """
    trust, encoded = _read_trust(trust_file), _read(file)
    try:
        return _check_lines(file, encoded, trust, entry_file, handover_files, as_json, show)
    except ProofError as err:
        raise ProofError(f"{file}: {err}") from err


def _check_lines(
    file: Path,
    encoded: bytes,
    trust: Trust,
    entry_file: Path | None,
    handover_files: Sequence[Path],
    as_json: bool,
    show: bool,
) -> list[str]:
    if entry_file is not None:
        day = check_day(encoded, _read(entry_file), trust, [_read(path) for path in handover_files])
        seal = _values(day.seal)
        if as_json:
            return [_json({**_values(day.head), "index": day.index, "seal": seal})]
        return [*_head_lines(day.head), f"seal {day.index}", *(f"  {name}: {_text(seal[name])}" for name in seal)]
    if handover_files:
        raise InputError(f"{handover_files[0]}: handovers are for day proofs, a bundle has its own: leave them out")
    if encoded.startswith(b"c2sp.org/tlog-proof"):
        raise InputError(f"{file}: is a day proof: give the seal entry that it is of with --entry")
    if encoded.startswith(ZIP_MAGIC):
        return _report_lines(check_report(encoded, trust), as_json)
    bundle = check_bundle(encoded, trust)
    rows = [_record_values(record, show) for record in bundle.records]
    if as_json:
        return [_json({**_values(bundle.head), "records": rows})]
    lines = ["\t".join(map(_text, values)) for values in (rows[0], *(row.values() for row in rows))]
    return [*_head_lines(bundle.head), f"records: {len(rows)}", *lines]


def _report_lines(report: CheckedReport, as_json: bool) -> list[str]:
    if as_json:
        head = (
            None
            if report.head is None
            else {k: list(v) if isinstance(v, tuple) else v for k, v in _values(report.head).items()}
        )
        return [_json({**_values(report), "head": head, "days": [day.isoformat() for day in report.days]})]
    head_lines = [
        "the key signed these files, and no log joins them: nothing in the period can be relied on, or was sealed",
        "note: compared with no checkpoint that you hold, and with no quorum",
    ]
    return [
        *(head_lines if report.head is None else _head_lines(report.head)),
        f"report: {_text(report.first)} to {_text(report.last)}, {len(report.days)} days sealed in the log",
        "statuses, as whoever signed found them: "
        + ", ".join(f"{n} {_text(name)}" for name, n in report.counts.items()),
        *(f"{digest}  {_text(name)}" for name, digest in report.digests.items() if not name.startswith("proofs/")),
    ]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as err:
        raise InputError(f"{file}: cannot be read: {err.strerror}; give the path of a file") from err


def _read_trust(file: Path) -> Trust:
    text = _read(file)
    try:
        return parse_trust(text)
    except InputError as err:
        raise InputError(f"{file}: {err}") from err


def _values(of: Any) -> dict[str, Any]:
    return {name: getattr(of, name) for name in of.__dataclass_fields__}


def _record_values(record: CheckedRecord, show: bool) -> dict[str, Any]:
    values = record._asdict()
    content = values.pop("record")
    return values | {"bytes": len(content)} | ({"record": content} if show else {})


def _head_lines(head: CheckedHead) -> list[str]:
    return [
        "the evidence holds",
        f"shown: {', '.join(head.levels)}",
        f"log: {_text(head.origin)}, {head.size} entries, root {head.root}",
        *(f"note: {_text(note)}" for note in head.notes),
    ]


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps({"holds": True, **values}, default=_json_value)


def _json_value(value: Any) -> Any:
    return {"$base64": format_base64(value)} if isinstance(value, bytes) else _text(value)


def _text(value: Any) -> str:
    """One line of text, with nothing in it that a terminal would obey: logs hold whatever somebody wrote."""
    if isinstance(value, bytes):
        value = value.decode(errors="backslashreplace")
    elif isinstance(value, datetime):
        value = value.isoformat().replace("+00:00", "Z")
    elif isinstance(value, tuple):
        value = " ".join(value)
    text = "-" if value in (None, "") else str(value)
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 it holds, 1 it does not hold, 2 wrong use or unreadable."""
    parser = argparse.ArgumentParser(prog="python -m audit_pipeline.check", description="Check evidence offline.")
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="an evidence bundle, a report bundle, or with --entry a day proof"
    )
    parser.add_argument("--trust", metavar="FILE", type=Path, required=True, help="what you trust: `log <vkey>`, …")
    parser.add_argument("--entry", metavar="FILE", type=Path, help="the seal entry that the day proof is of")
    parser.add_argument(
        "--handover", metavar="FILE", type=Path, action="append", default=[], help="`log/keys/1` and so on, in order"
    )
    parser.add_argument("--json", action="store_true", help="for programs; contents are base64")
    parser.add_argument("--show", action="store_true", help="print the contents of records too")
    given = parser.parse_args(arguments)
    try:
        lines = check_files(given.file, given.trust, given.entry, given.handover, as_json=given.json, show=given.show)
    except AuditError as err:
        print(f"check: {_text(err)}", file=sys.stderr)
        return 1 if isinstance(err, ProofError) else 2
    # A path may hold letters that the terminal's encoding lacks.
    encoding = sys.stdout.encoding or "utf-8"
    print("\n".join(lines).encode(encoding, "backslashreplace").decode(encoding))
    return 0
