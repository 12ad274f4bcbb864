"""Model cards, `README.md`, as TRL and transformers write them beside a model.

Sources: TRL `trl/templates/*_model_card.md` and `trl/trainer/utils.py` (generate_model_card), transformers
`modelcard.py` (TrainingSummary). Records of a text are its lines, and each is read by itself: those that say something
of the run give a row of `runs`. A list over several lines, as YAML also writes `datasets`, is not read. There is no
time.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any

from audit_pipeline.formats.adapter import Adapter, Event, Items, SourceContext
from audit_pipeline.formats.checkpoints import PLACE_FIELDS, checkpoint_place
from audit_pipeline.formats.paths import file_name

_KEY = re.compile(r"(?:base_model|library_name|model_name):")
_FACTS = {
    "base_model": re.compile(r"base_model: +(\S.*)"),
    "run_name": re.compile(r"model_name: +(\S.*)"),
    "dataset_refs": re.compile(r"datasets: +(\S.*)"),
    "algorithm": re.compile(r"This model was trained with ([\w -]+)(?:, a method introduced in .*)?\."),
}
_WRITERS = frozenset(["TRL", "Transformers"])
_VERSION = re.compile(r"- (TRL|Transformers|PEFT|Pytorch|TensorFlow|Datasets|Tokenizers):? +(\S+)")
_NO_FACT = "a line of a model card that says nothing of its run"


def _score(path: str, items: Sequence[Any]) -> float:
    lines = [line.strip() if isinstance(line, str) else "" for line in items]
    front = takewhile(lambda line: line != "---", lines[1:]) if lines[:1] == ["---"] else []
    return 0.85 * any(map(_KEY.match, front)) + 0.1 * (file_name(path) == "README.md")


def _line(line: bytes) -> str:
    """The text of a line.

    Raises:
        ValueError: it is not UTF-8, or blank.
    """
    text = line.decode("utf-8-sig").strip()
    if not text:
        raise ValueError("blank")
    return text


def _events(source: SourceContext, items: Items) -> Iterator[Event]:
    place = checkpoint_place(source.path)
    for position, line in items:
        run = _fact(line) if isinstance(line, str) else {}
        if position == 0:
            yield position, "model_checkpoints", {**place, "kind": "card"}
        if run:
            yield position, "runs", {"run_id": place["run_id"], "run_key": place["run_id"], **run}
        elif position:
            yield position, "log_findings", {"kind": "no_event", "found": _NO_FACT}


def _fact(line: str) -> dict[str, Any]:
    """What a line says of the run that made the model."""
    if found := _VERSION.fullmatch(line):
        name, version = found.groups()
        if name in _WRITERS:
            return {"framework": name.lower(), "framework_version": version}
        return {"extra": {name: version}}
    for column, fact in _FACTS.items():
        if found := fact.fullmatch(line):
            value = _unquoted(found[1])
            return {column: [value] if column == "dataset_refs" else value}
    return {}


def _unquoted(text: str) -> str:
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if is_quoted else text


ADAPTERS = (
    Adapter(
        "model_card",
        1,
        ("text",),
        _score,
        _events,
        parse=_line,
        reads="The card that TRL and transformers write beside a model: `README.md` with YAML in front.",
        fields={
            **PLACE_FIELDS,
            "model_checkpoints.kind": "`card`; one row for the file, at its first line",
            "runs.run_id": "the folder of the card or of its checkpoint; one row for each line that says something",
            "runs.run_key": "the same",
            "runs.run_name": "line `model_name:`",
            "runs.base_model": "line `base_model:`",
            "runs.dataset_refs": "line `datasets:`",
            "runs.algorithm": "line `This model was trained with …`",
            "runs.framework": "`TRL` or `Transformers` in the list of framework versions, in lower case",
            "runs.framework_version": "its version there",
            "runs.extra_json": "other names and versions of that list",
        },
    ),
)
