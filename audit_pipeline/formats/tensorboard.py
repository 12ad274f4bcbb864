r"""TensorBoard event files: scalars, the settings that transformers writes as text, OpenRLHF's samples.

Sources: tensorboard `summary/writer/event_file_writer.py` (file name, first event), `plugins/scalar/metadata.py`,
`compat/proto/summary.proto` (a file may have the metadata of a tag with its first value alone) and `types.proto`; torch
`utils/tensorboard/summary.py` (scalar, text: `/text_summary` after the tag) and `writer.py` (the folder
`runs/<time>_<host>`); transformers `integrations/integration_utils.py` (TensorBoardCallback: texts `args` and
`model_config`); OpenRLHF `utils/logging_utils.py` (TensorboardLogger.log_train), whose f-string writes the two
characters `\n` where it means a new line. The run is the output folder; a value's record has its time.
"""

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from audit_pipeline.containers.json_text import nests_too_deep
from audit_pipeline.formats.adapter import Adapter, Event, EventRef, Items, Metrics, Person, SourceContext, marked_roles
from audit_pipeline.formats.metric_rows import expand
from audit_pipeline.formats.metrics import metric_events, score_value
from audit_pipeline.formats.paths import file_name, folder_name
from audit_pipeline.formats.times import epoch_time
from audit_pipeline.records import canonical
from audit_pipeline.records.events import CANONICAL_METRICS

_FIRST_EVENT = "brain.Event:"
_FILE = re.compile(r"events\.out\.tfevents\.\d+\.(?P<host>.+?)(?:\.\d+\.\d+(?:\.[^\d.][^.]*)?)?")
_TIME_AND_HOST = r"(?P<time>[^\W\d_]{3,4}\.?\d\d_\d\d-\d\d-\d\d)_[^/\\\"\s]+"  # strftime %b%d_%H-%M-%S
_DEFAULT_FOLDER = re.compile(_TIME_AND_HOST)
_UNNAMED = re.compile(rf"runs|logs|tensorboard|\d{{10}}\.\d+|{_TIME_AND_HOST}")
_NO_SUMMARY = ("graph_def", "meta_graph_def", "log_message", "session_log", "tagged_run_metadata")
_DATA = ("simple_value", "tensor", "histo", "image", "audio", "obsolete_old_style_histogram")

_STRING = 7  # DT_STRING
_NUMBERS = {1: ("float_val", "<f"), 2: ("double_val", "<d"), 3: ("int_val", "<i"), 9: ("int64_val", "<q")}
"""DT_FLOAT, DT_DOUBLE, DT_INT32, DT_INT64: where a tensor has its values, and how `tensor_content` has one."""

_SETTINGS = ("args/text_summary", "model_config/text_summary")
_SAMPLE = "train/generated_samples/text_summary"
_SAMPLE_TEXT = re.compile(
    r"Sample:(?:\\n|\n)(?P<text>.*)(?:\\n\\n|\n\n)Reward: (?P<reward>-?(?:\d+\.\d{4}|inf)|nan)", re.DOTALL
)


def _score(path: str, items: Sequence[Any]) -> float:
    first = items[0] if items else None
    version = first.get("file_version") if isinstance(first, dict) else None
    is_event_file = isinstance(version, str) and version.startswith(_FIRST_EVENT)
    return 0.85 * is_event_file + 0.1 * ("tfevents" in file_name(path))


def _events(source: SourceContext, items: Items) -> Iterator[Event]:
    run = _run(source.path)
    for position, item in items:
        if isinstance(item, dict):
            yield from _event(run, position, item)


def _event(run: Mapping[str, Any], position: int, event: dict[str, Any]) -> Iterator[Event]:
    if (logged := epoch_time(event.get("wall_time"))) is None:
        time, extra = {}, event
    else:
        time, extra = {"event_time": logged[0], "event_time_quality": logged[1]}, _without(event, "wall_time")
    if "file_version" in event:
        yield position, "runs", {**run, **time, "extra": extra}
        return
    if any(name in event for name in _NO_SUMMARY):
        yield position, "log_findings", {"kind": "no_event", "found": "an event that is no summary"}
    summary = event.get("summary")
    if isinstance(summary, dict) and isinstance(summary.get("value"), list):
        others = _without(summary, "value")
        extra = _without(extra, "step", "summary") | ({"summary": others} if others else {})
        # Protocol buffers leave out a number that is 0.
        common = {"run_id": run["run_id"], **time, "step": event.get("step", 0), "extra": extra}
        yield from _value_events(run, position, summary["value"], common)


def _value_events(run: Mapping[str, Any], position: int, values: list[Any], common: dict[str, Any]) -> Iterator[Event]:
    numbers: dict[str, tuple[Any, dict[str, Any]]] = {}
    samples = 0
    for value in values:
        if not isinstance(value, dict) or not isinstance(tag := value.get("tag", ""), str):
            yield position, "log_findings", {"kind": "no_event", "found": "a value whose tag is no text"}
        elif (number := _number(value)) is not None:
            if tag in numbers:  # twice in one event: as two log entries
                yield from _metrics(position, numbers, common)
                numbers = {}
            numbers[tag] = number
        elif (text := _text(value)) is not None and tag in _SETTINGS and (settings := _settings(text)) is not None:
            yield _settings_event(run, position, settings, _with_value(common, _beside(value, "string_val")))
        elif text is not None and tag == _SAMPLE and (sample := _SAMPLE_TEXT.fullmatch(text)):
            yield from _sample_events(position, samples, sample, _with_value(common, _beside(value, "string_val")))
            samples += 1
        else:
            what = "a text" if text is not None else next((name for name in _DATA if name in value), "no data")
            yield position, "log_findings", {"kind": "no_event", "found": f"a value without a table: {what}"}
    if numbers:
        yield from _metrics(position, numbers, common)


def _metrics(
    position: int, numbers: Mapping[str, tuple[Any, dict[str, Any]]], common: dict[str, Any]
) -> Iterator[Event]:
    metrics = {tag: number for tag, (number, _) in numbers.items()}
    is_alone = not any(beside for _, beside in numbers.values())
    for at, table, row in metric_events(position, metrics, common):
        if is_alone or not isinstance(row, Metrics):
            yield at, table, row
        else:
            yield from ((at, table, _with_value(one, numbers[one["metric"]][1])) for one in expand(row))


def _settings_event(run: Mapping[str, Any], position: int, settings: dict[str, Any], common: dict[str, Any]) -> Event:
    at_step = {"step": common["step"]} if common["step"] else {}  # runs have no step
    shared = {name: value for name, value in common.items() if name != "step"}
    said = {
        "framework": "transformers",
        "framework_version": settings.get("transformers_version"),
        "base_model": settings.get("_name_or_path") or None,
        "seed": settings.get("seed"),
        "config_json": canonical.dump_canonical(settings).decode(),
    }
    return position, "runs", {**run, **shared, **said, "extra": common["extra"] | at_step}


def _sample_events(position: int, ordinal: int, sample: re.Match[str], common: dict[str, Any]) -> Iterator[Event]:
    text = sample["text"]
    yield (
        position,
        "generations",
        {**common, "split": "train", "completion_text": text, "role_boundaries": marked_roles(text)},
    )
    shared = {name: value for name, value in common.items() if name != "extra"}
    of = {"generation_id": EventRef("generations", ordinal), "scorer": "reward"}
    yield position, "reward_scores", {**shared, **of, **score_value(float(sample["reward"]))}


def _number(value: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
    """(number, what the value says beside it) of a scalar; None for anything else."""
    if "simple_value" in value:
        return value["simple_value"], _without(value, "tag", "simple_value")
    tensor = value.get("tensor")
    if not isinstance(tensor, dict) or _plugin(value) not in ("scalars", None) or not _is_scalar(tensor):
        return None
    name, content_format = _NUMBERS[tensor["dtype"]]
    numbers, content = tensor.get(name), tensor.get("tensor_content")
    if isinstance(numbers, list) and len(numbers) == 1 and content is None:
        return numbers[0], _without(_beside(value, name), "tag")
    if isinstance(content, bytes) and len(content) == struct.calcsize(content_format) and numbers is None:
        return struct.unpack(content_format, content)[0], _without(_beside(value, "tensor_content"), "tag")
    return None


def _is_scalar(tensor: dict[str, Any]) -> bool:
    shape = tensor.get("tensor_shape", {})
    has_no_dimension = isinstance(shape, dict) and not shape.keys() & {"dim", "unknown_rank"}
    return has_no_dimension and isinstance(tensor.get("dtype"), int) and tensor["dtype"] in _NUMBERS


def _text(value: dict[str, Any]) -> str | None:
    tensor, plugin = value.get("tensor"), _plugin(value)
    is_text = plugin == "text" or (plugin is None and value.get("tag", "").endswith("/text_summary"))
    if not is_text or not isinstance(tensor, dict) or tensor.get("dtype") != _STRING:
        return None
    texts = tensor.get("string_val")
    return texts[0] if isinstance(texts, list) and len(texts) == 1 and isinstance(texts[0], str) else None


def _plugin(value: dict[str, Any]) -> Any:
    """Name of the plugin that a value is for; None where it has no metadata."""
    metadata = value.get("metadata")
    data = metadata.get("plugin_data") if isinstance(metadata, dict) else None
    return data.get("plugin_name") if isinstance(data, dict) else None


def _settings(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is, without the host's name in the default folder of its logs."""
    if nests_too_deep(text.encode("utf-8", "surrogatepass")):
        return None
    try:
        settings = canonical.load_json(_DEFAULT_FOLDER.sub(r"\g<time>", text))
    except ValueError:
        return None
    return settings if isinstance(settings, dict) else None


def _run(path: str) -> dict[str, Any]:
    started = _DEFAULT_FOLDER.search(path)
    run_id = folder_name(path, _UNNAMED) or (started["time"] if started else None)
    written = _FILE.fullmatch(file_name(path))
    host = Person(written["host"]) if written else None
    return {"run_id": run_id, "run_key": run_id, "run_name": run_id, "host_pseudonym": host}


def _beside(value: dict[str, Any], name: str) -> dict[str, Any]:
    """A value without the field `name` of its tensor."""
    return value | {"tensor": _without(value["tensor"], name)}


def _with_value(row: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    return {**row, "extra": {**row["extra"], "value": others}} if others else row


def _without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


_RUN = "folder, but for `runs`, `logs`, `tensorboard` and dates; without one, the time in `runs/<time>_<host>`"
_TIME = "`wall_time`"
_STEP = "`step`, 0 where it is left out"
_SCALAR = "`simple_value`, or the one number of a `tensor`"
_BESIDE = "other fields of the event, and under `value` those of the value"

ADAPTERS = (
    Adapter(
        "tensorboard",
        1,
        ("tfrecord",),
        _score,
        _events,
        reads="`events.out.tfevents.*`, the event files that TensorBoard, PyTorch and TensorFlow write.",
        fields={
            "runs.run_id": _RUN,
            "runs.event_time": _TIME,
            "runs.event_time_quality": "`epoch_s`",
            "runs.run_key": _RUN,
            "runs.run_name": _RUN,
            "runs.host_pseudonym": "host in the file's name",
            "runs.framework": "`transformers`, of its texts `args` and `model_config`",
            "runs.framework_version": "`transformers_version` in the text `model_config`",
            "runs.base_model": "`_name_or_path` in the text `model_config`",
            "runs.seed": "`seed` in the text `args`",
            "runs.config_json": "the texts `args` and `model_config`, without the host in `runs/<time>_<host>`",
            "runs.extra_json": "`file_version`, `source_metadata`; of a text its `tag` and all but the text",
            "training_metrics.run_id": _RUN,
            "training_metrics.event_time": _TIME,
            "training_metrics.event_time_quality": "`epoch_s`",
            "training_metrics.step": _STEP,
            "training_metrics.split": "start of `tag`",
            "training_metrics.metric": "`tag`",
            "training_metrics.metric_canonical": "`tag`",
            "training_metrics.value": _SCALAR,
            "training_metrics.value_state": _SCALAR,
            "training_metrics.value_raw": _SCALAR,
            "training_metrics.attempt": "0",
            "training_metrics.extra_json": _BESIDE,
            "policy_updates.run_id": _RUN,
            "policy_updates.event_time": _TIME,
            "policy_updates.event_time_quality": "`epoch_s`",
            "policy_updates.step": _STEP,
            **{f"policy_updates.{name}": "the scalar that is one, by its `tag`" for name in CANONICAL_METRICS},
            "policy_updates.not_finite": "the scalar that is one, by its `tag`",
            "policy_updates.attempt": "0",
            "generations.run_id": _RUN,
            "generations.event_time": _TIME,
            "generations.event_time_quality": "`epoch_s`",
            "generations.step": _STEP,
            "generations.split": "`train`",
            "generations.completion_text": "text `train/generated_samples` after `Sample:`, prompt and response in one",
            "generations.role_boundaries": "by that text",
            "generations.extra_json": _BESIDE,
            "reward_scores.run_id": _RUN,
            "reward_scores.event_time": _TIME,
            "reward_scores.event_time_quality": "`epoch_s`",
            "reward_scores.generation_id": "the sample",
            "reward_scores.scorer": "`reward`",
            "reward_scores.score": "text `train/generated_samples` after `Reward:`, four decimals",
            "reward_scores.score_state": "the same",
            "reward_scores.step": _STEP,
        },
    ),
)
