"""Making a policy folder, and adding a stream to one."""

import json
import shutil
from pathlib import Path

import yaml
from pydantic import ValidationError

from audit_pipeline.errors import InputError, PolicyError
from audit_pipeline.policy.components import RUN_LOGS_TYPE, attributes_of, find_components, load_run_logs
from audit_pipeline.policy.documents import read_documents, read_text
from audit_pipeline.policy.loading import DIGESTED_FOLDERS
from audit_pipeline.policy.models import RunLogsAttributes, StreamAttributes
from audit_pipeline.policy.refusals import first_message

WORKSPACE = """\
load_from:
  - python_module:
      module_name: audit_pipeline.definitions
      location_name: audit_pipeline
"""
_PACKAGE = Path(__file__).resolve().parents[1]


def add_stream(root: Path, name: str, path: str) -> Path:
    """Declare a stream at the end of the policy's list; gives back the file, whose comments and layout stay.

    Raises:
        InputError: the name or path is not allowed, or the name is taken.
        PolicyError: the list is not written one item a line, so a person must edit it.
    """
    try:
        new = StreamAttributes(name=name, path=path)
    except ValidationError as err:
        raise InputError(first_message(err)) from err
    before = load_run_logs(root)
    if any(stream.name == name for stream in before.streams):
        raise InputError(f"{root / 'assets'}: there is a stream {name!r} already; choose another name")
    attributes = find_components(root, RUN_LOGS_TYPE)[0]
    edited = _insert_item(read_text(attributes.file), attributes.child("streams").node, new)
    if edited is None or _streams_of(attributes.file, edited) != (*before.streams, new):
        raise PolicyError(
            f"{attributes.file}: cannot be edited safely; add the stream {name} with the path {path} by hand"
        )
    temporary = attributes.file.with_name(f".{attributes.file.name}.tmp")
    temporary.write_text(edited, encoding="utf-8")
    temporary.replace(attributes.file)
    return attributes.file


def init_project(folder: Path) -> None:
    """Make a policy folder: the shipped `assets/`, `resources/` and `expectations/`, and a `workspace.yaml`.

    Raises:
        InputError: one of them is there already.
    """
    for name in (*DIGESTED_FOLDERS, "workspace.yaml"):
        if (folder / name).exists():
            raise InputError(f"{folder / name}: exists already; choose another folder")
    bundle = _PACKAGE / "_bundle"
    source = bundle if bundle.is_dir() else _PACKAGE.parent  # a source checkout keeps the three folders at its top
    for name in DIGESTED_FOLDERS:
        shutil.copytree(source / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "workspace.yaml").write_text(WORKSPACE)
    if not (ignored := folder / ".gitignore").exists():
        ignored.write_text("# Logs, lake and keys do not belong in a repository.\n/audit-home/\n")


def _streams_of(file: Path, text: str) -> tuple[StreamAttributes, ...]:
    found = attributes_of(read_documents(file, text), RUN_LOGS_TYPE)
    return found[0].parse(RunLogsAttributes).streams if found else ()


def _insert_item(text: str, streams: yaml.Node, new: StreamAttributes) -> str | None:
    """`text` with an item after the last one of a block list; None for a list in brackets."""
    if not isinstance(streams, yaml.SequenceNode) or streams.flow_style or not streams.value:
        return None
    last = streams.value[-1]
    while isinstance(last, yaml.CollectionNode) and last.value:
        last = last.value[-1][1] if isinstance(last, yaml.MappingNode) else last.value[-1]
    indent = " " * streams.start_mark.column
    lines = text.splitlines(keepends=True)
    at = last.end_mark.line + 1
    lines[at - 1] = lines[at - 1].rstrip("\n") + "\n"
    # JSON strings are YAML strings.
    lines[at:at] = [f"{indent}- name: {json.dumps(new.name)}\n", f"{indent}  path: {json.dumps(new.path)}\n"]
    return "".join(lines)
