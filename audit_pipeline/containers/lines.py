"""The status of each line of a line format: a fast check of many lines, and the exact one where that says no."""

from audit_pipeline.containers.items import fast_lines_ok, json_line_status


def line_exceptions(piece: bytes, count: int, container: str, *, is_first: bool) -> list[tuple[int, str, str]]:
    """(offset, status, reason) of each of the `count` lines in `piece` that cannot be read as what it is.

    `piece` is lines with their newlines; the last may lack its own. `is_first` says that the source starts here.
    """
    if container == "jsonl":
        return [] if fast_lines_ok(piece, count) else _json_exceptions(piece.split(b"\n")[:count], is_first)
    if _is_utf8(piece):
        return []
    lines = piece.split(b"\n")[:count]
    return [(at, "quarantined", "invalid_utf8") for at, line in enumerate(lines) if not _is_utf8(line)]


def _json_exceptions(lines: list[bytes], is_first: bool) -> list[tuple[int, str, str]]:
    found = []
    for at, line in enumerate(lines):
        if not fast_lines_ok(line, 1):
            status, reason = json_line_status(line, is_first and at == 0)
            if status != "ok":
                found.append((at, status, reason))
    return found


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
