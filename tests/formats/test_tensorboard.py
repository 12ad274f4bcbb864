"""Events of TensorBoard event files."""

import json
import math
import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_pipeline.formats.adapters import ADAPTERS, derive_rows
from audit_pipeline.formats.detect import detect
from audit_pipeline.records import canonical
from tests.containers.test_lines import json_values
from tests.formats.declared import columns_given
from tests.formats.kept import lost
from tests.formats.support import MTIME, PEOPLE, items, json_lines, source
from tests.tfrecords import (
    as_events,
    content,
    double,
    event,
    first_event,
    frame,
    integer,
    plugin,
    scalar,
    single,
    summary,
    text,
)

NAME = "events.out.tfevents.1795454137.node7.25981.0"
PATH = f"dpo-s1/runs/{NAME}"
TIME = datetime(2026, 11, 23, 17, 15, 37, 250000, UTC)
Rows = dict[str, list[dict[str, Any]]]


def rows(*records: bytes, path: str = PATH) -> Rows:
    """Rows by table."""
    found = [(at, item, status) for at, (item, status, _) in enumerate(items("tfrecord", frame(*records)))]
    return {table: of.to_pylist() for table, of in derive_rows("tensorboard", source(path), found, PEOPLE).items()}


def value_rows(*values: bytes, path: str = PATH) -> Rows:
    return rows(summary(*values, step=3), path=path)


def found_of(tables: Rows) -> list[tuple[str, str]]:
    return [(row["kind"], row["found"]) for row in tables.get("log_findings", [])]


def tensor(*fields: bytes, tag: str = "train/loss", metadata: bytes = b"") -> bytes:
    return content(1, tag.encode()) + metadata + content(8, b"".join(fields))


def test_the_first_event_is_a_run_with_its_host_as_a_pseudonym() -> None:
    tables = rows(event(content(3, b"brain.Event:2"), content(10, content(1, b"w"))))

    assert tables.keys() == {"runs"}
    [run] = tables["runs"]
    assert (run["run_id"], run["run_key"], run["run_name"]) == ("dpo-s1", "dpo-s1", "dpo-s1")
    assert run["host_pseudonym"] == PEOPLE.pseudonym("node7")
    assert (run["event_time"], run["event_time_quality"]) == (TIME, "epoch_s")
    assert json.loads(run["extra_json"]) == {"file_version": "brain.Event:2", "source_metadata": {"writer": "w"}}
    assert "node7" not in json.dumps(run, default=str)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        (NAME, "node7"),
        (f"{NAME}.gz", "node7"),
        (f"{NAME}.v2", "node7"),
        ("events.out.tfevents.1795454137.ip-10-0-0-1.ec2.internal.25981.3", "ip-10-0-0-1.ec2.internal"),
        ("events.out.tfevents.1795454137.10.0.0.5.25981.0", "10.0.0.5"),
        ("events.out.tfevents.1795454137.node7", "node7"),
        ("run.tfevents", None),
    ],
)
def test_the_host_is_in_the_name_of_the_file(name: str, host: str | None) -> None:
    [run] = rows(first_event(), path=f"a/{name}")["runs"]

    assert run["host_pseudonym"] == (host and PEOPLE.pseudonym(host))


@pytest.mark.parametrize(
    ("folder", "run_id"),
    [
        ("dpo-s1/runs", "dpo-s1"),
        ("2026-01-01/dpo-s1/runs/Nov23_17-15-37_node7", "dpo-s1"),
        ("dpo-s1/runs/Nov23_17-15-37_node7/1795454137.25", "dpo-s1"),
        ("dpo-s1/logs", "dpo-s1"),
        ("tensorboard_log/project/exp-3", "exp-3"),
        ("runs/Nov23_17-15-37_node7", "Nov23_17-15-37"),
        ("runs", None),
    ],
)
def test_the_run_is_the_folder_without_the_host(folder: str, run_id: str | None) -> None:
    tables = rows(first_event(), summary(scalar("x", 1.0)), path=f"{folder}/{NAME}")

    assert [row["run_id"] for table in tables.values() for row in table] == [run_id, run_id]


def test_a_scalar_is_a_metric_at_its_step_and_time() -> None:
    tables = value_rows(scalar("train/loss", 0.1))

    assert tables.keys() == {"training_metrics", "policy_updates"}
    [row] = tables["training_metrics"]
    as_single = struct.unpack("<f", struct.pack("<f", 0.1))[0]
    assert (row["metric"], row["metric_canonical"], row["split"], row["attempt"]) == ("train/loss", "loss", "train", 0)
    assert (row["value"], row["value_state"], row["value_raw"]) == (as_single, "finite", None)
    assert (row["run_id"], row["step"], row["extra_json"]) == ("dpo-s1", 3, None)
    assert (row["event_time"], row["event_time_quality"]) == (TIME, "epoch_s")
    [update] = tables["policy_updates"]
    assert (update["loss"], update["kl"], update["step"], update["event_time"]) == (as_single, None, 3, TIME)


@pytest.mark.parametrize(
    ("tag", "split"), [("eval/loss", "eval"), ("train/train_loss", "summary"), ("loss", "train"), ("", "train")]
)
def test_the_tag_tells_the_split(tag: str, split: str) -> None:
    [row] = value_rows(scalar(tag, 1.0))["training_metrics"]

    assert (row["metric"], row["split"]) == (tag, split)


@pytest.mark.parametrize(("number", "state"), [(math.nan, "nan"), (math.inf, "+inf"), (-math.inf, "-inf")])
def test_numbers_that_are_not_finite_say_so(number: float, state: str) -> None:
    tables = value_rows(scalar("train/grad_norm", number))

    assert (tables["training_metrics"][0]["value"], tables["training_metrics"][0]["value_state"]) == (None, state)
    assert tables["policy_updates"][0]["not_finite"] == ["grad_norm"]


def test_a_step_that_is_left_out_is_0() -> None:
    [row] = rows(summary(scalar("x", 1.0)))["training_metrics"]

    assert row["step"] == 0


def test_a_time_that_is_none_stays_in_extra_and_the_files_is_taken() -> None:
    [row] = rows(summary(scalar("x", 1.0), wall_time=12.5))["training_metrics"]

    assert (row["event_time"], row["event_time_quality"]) == (MTIME, "file_mtime")
    assert json.loads(row["extra_json"]) == {"wall_time": 12.5}


SCALARS = {
    "a float": (integer(1, 1) + content(2, b"") + single(5, 0.5), {"dtype": 1, "tensor_shape": {}}),
    "without shape": (integer(1, 1) + single(5, 0.5), {"dtype": 1}),
    "a double": (integer(1, 2) + double(6, 0.5), {"dtype": 2}),
    "raw": (integer(1, 1) + content(4, struct.pack("<f", 0.5)), {"dtype": 1}),
    "a raw double": (integer(1, 2) + content(4, struct.pack("<d", 0.5)), {"dtype": 2}),
}


@pytest.mark.parametrize("metadata", [b"", plugin("scalars")])
@pytest.mark.parametrize(("fields", "rest"), SCALARS.values(), ids=SCALARS.keys())
def test_a_scalar_tensor_is_a_metric_and_loses_nothing(fields: bytes, rest: dict[str, Any], metadata: bytes) -> None:
    """Only the first value of a tag may have metadata."""
    [row] = value_rows(tensor(fields, metadata=metadata))["training_metrics"]

    assert (row["metric"], row["value"]) == ("train/loss", 0.5)
    beside = {"metadata": {"plugin_data": {"plugin_name": "scalars"}}} if metadata else {}
    assert json.loads(row["extra_json"]) == {"value": {"tensor": rest, **beside}}


def test_integers_of_tensors_are_exact() -> None:
    whole = tensor(integer(1, 9) + integer(10, 2**53 + 1), tag="n")
    raw = tensor(integer(1, 9) + content(4, struct.pack("<q", -5)), tag="m")

    found = [(row["value"], row["value_raw"]) for row in value_rows(whole, raw)["training_metrics"]]
    assert found == [(float(2**53), str(2**53 + 1)), (-5.0, None)]


OTHERS = {
    "a vector": (
        tensor(integer(1, 1), content(2, content(2, integer(1, 2))), single(5, 1.0), single(5, 2.0)),
        "tensor",
    ),
    "another plugin": (tensor(integer(1, 1), single(5, 1.0), metadata=plugin("pr_curves")), "tensor"),
    "another type": (tensor(integer(1, 19), integer(13, 15360)), "tensor"),
    "no number": (tensor(integer(1, 1)), "tensor"),
    "two forms": (tensor(integer(1, 1), single(5, 1.0), content(4, bytes(4))), "tensor"),
    "raw of another size": (tensor(integer(1, 1), content(4, bytes(8))), "tensor"),
    "a histogram": (content(1, b"w") + content(5, double(1, 1.0)), "histo"),
    "an image": (content(1, b"i") + content(4, integer(1, 1)), "image"),
    "hyperparameters": (content(1, b"_hparams_/experiment") + plugin("hparams"), "no data"),
    "a text": (text("notes/text_summary", b"secret"), "a text"),
    "a table of texts": (text("notes/text_summary", b"a", b"b"), "tensor"),
    "a text that is not UTF-8": (text("args/text_summary", b"\xff"), "tensor"),
    "settings that are no JSON": (text("args/text_summary", b"{lr: 1}"), "a text"),
    "settings that are no object": (text("args/text_summary", b"[1]"), "a text"),
    "deep settings": (text("args/text_summary", b"[" * 9999), "a text"),
    "a sample of another shape": (text("train/generated_samples/text_summary", b"Sample: x"), "a text"),
}


@pytest.mark.parametrize(("value", "what"), OTHERS.values(), ids=OTHERS.keys())
def test_a_value_without_a_table_is_a_finding_and_others_of_its_event_are_rows(value: bytes, what: str) -> None:
    tables = value_rows(value, scalar("x", 1.0))

    assert found_of(tables) == [("no_event", f"a value without a table: {what}")]
    assert [row["metric"] for row in tables["training_metrics"]] == ["x"]


@pytest.mark.parametrize("what", [content(4, b"g"), content(7, integer(1, 1)), content(6, b""), content(9, b"g")])
def test_an_event_that_is_no_summary_is_a_finding(what: bytes) -> None:
    tables = rows(event(what))

    assert tables.keys() == {"log_findings"}
    assert found_of(tables) == [("no_event", "an event that is no summary")]


@pytest.mark.parametrize("record", [b"no event", event(), event(content(5, b""))])
def test_what_says_nothing_is_a_finding_of_the_core(record: bytes) -> None:
    assert found_of(rows(record)) == [("no_event", "not of a shape that tensorboard 1 knows")]


def test_a_tag_that_is_no_text_is_a_finding() -> None:
    assert found_of(value_rows(content(1, b"\xff") + single(2, 1.0))) == [("no_event", "a value whose tag is no text")]


def test_a_log_entry_in_one_event_is_one_update() -> None:
    """A tag that comes twice is another entry."""
    first = [scalar("train/loss", 1.0), scalar("train/kl", 2.0), scalar("x", 3.0)]

    tables = value_rows(*first, scalar("train/loss", 4.0))

    assert [(row["loss"], row["kl"]) for row in tables["policy_updates"]] == [(1.0, 2.0), (4.0, None)]
    assert [row["value"] for row in tables["training_metrics"]] == [1.0, 2.0, 3.0, 4.0]


def test_unknown_fields_go_to_extra() -> None:
    unknown = {"field": 30, "wire": 2, "bytes": {"$base64": "eA=="}}
    tables = rows(
        event(content(5, content(1, scalar("x", 1.0) + content(30, b"x")) + content(30, b"x")), content(30, b"x"))
    )

    [row] = tables["training_metrics"]
    assert json.loads(row["extra_json"]) == {
        "unknown": [unknown],
        "summary": {"unknown": [unknown]},
        "value": {"unknown": [unknown]},
    }


def test_settings_of_transformers_are_a_run() -> None:
    args = {"seed": 42, "learning_rate": 1e-5, "logging_dir": "out/runs/Nov23_17-15-37_node7", "x": None}
    model = {"transformers_version": "5.23.0", "_name_or_path": "some/model", "hidden_size": 64}

    tables = value_rows(
        text("args/text_summary", json.dumps(args, indent=2).encode()),
        text("model_config/text_summary", json.dumps(model).encode(), metadata=b""),
    )

    assert tables.keys() == {"runs"}
    of_args, of_model = tables["runs"]
    assert json.loads(of_args["config_json"]) == args | {"logging_dir": "out/runs/Nov23_17-15-37"}
    assert (of_args["seed"], of_args["framework"], of_args["run_id"]) == (42, "transformers", "dpo-s1")
    assert json.loads(of_args["extra_json"]) == {
        "step": 3,
        "value": {
            "metadata": {"plugin_data": {"plugin_name": "text"}},
            "tag": "args/text_summary",
            "tensor": {"dtype": 7, "tensor_shape": {"dim": [{"size": 1}]}},
        },
    }
    assert json.loads(of_model["config_json"]) == model
    assert (of_model["framework_version"], of_model["base_model"], of_model["seed"]) == ("5.23.0", "some/model", None)
    assert of_args["host_pseudonym"] == of_model["host_pseudonym"] == PEOPLE.pseudonym("node7")
    assert "node7" not in json.dumps(tables, default=str)


@pytest.mark.parametrize("newline", ["\\n", "\n"])
def test_a_sample_of_openrlhf_is_a_generation_and_its_score(newline: str) -> None:
    """Its f-string writes a backslash and an n."""
    sample = "user\nhi\nassistant\nyo\n\nReward: 9.0000 they said"
    written = f"Sample:{newline}{sample}{newline}{newline}Reward: -0.2500"

    tables = value_rows(text("train/generated_samples/text_summary", written.encode()))

    assert tables.keys() == {"generations", "reward_scores"}
    [generation], [score] = tables["generations"], tables["reward_scores"]
    assert (generation["completion_text"], generation["prompt_text"]) == (sample, None)
    assert (generation["split"], generation["step"], generation["role_boundaries"]) == ("train", 3, "marker_text")
    assert json.loads(generation["extra_json"])["value"]["tensor"]["dtype"] == 7
    assert (score["generation_id"], score["scorer"], score["step"]) == (generation["event_id"], "reward", 3)
    assert (score["score"], score["score_state"], score["scorer_kind"]) == (-0.25, "finite", None)
    assert {row["run_id"] for row in (generation, score)} == {"dpo-s1"}
    assert {row["event_time"] for row in (generation, score)} == {TIME}


def test_each_sample_of_an_event_has_its_own_score() -> None:
    samples = [b"Sample:\\n%c\\n\\nReward: %s" % (name, reward) for name, reward in ((97, b"nan"), (98, b"inf"))]

    tables = value_rows(*(text("train/generated_samples/text_summary", sample) for sample in samples))

    ids = {row["event_id"]: row["completion_text"] for row in tables["generations"]}
    assert [(ids[row["generation_id"]], row["score_state"]) for row in tables["reward_scores"]] == [
        ("a", "nan"),
        ("b", "inf"),
    ]


def test_event_files_are_told_by_their_first_event() -> None:
    def found(path: str, whole: bytes, declared: str | None = None) -> tuple[str, str]:
        detection = detect(path, whole, len(whole), declared)
        return detection.container, detection.format

    assert found(PATH, as_events(2)) == ("tfrecord", "tensorboard")
    assert found("any.name", as_events(0)) == ("tfrecord", "tensorboard")
    assert found(PATH, as_events(2)[:-3]) == ("tfrecord", "tensorboard")
    assert found(PATH, as_events(2)[:30]) == ("tfrecord", "generic_tfrecord")
    assert found(PATH, frame(content(1, content(1, b"features")))) == ("tfrecord", "generic_tfrecord")
    assert found(PATH, frame(summary(scalar("x", 1.0)))) == ("tfrecord", "generic_tfrecord")
    assert found(PATH, frame(event(content(3, b"other:1")))) == ("tfrecord", "generic_tfrecord")
    assert found("log_history.jsonl", json_lines([{"file_version": "brain.Event:2"}])) == ("jsonl", "generic_jsonl")


def test_no_declaration_makes_an_event_file_into_lines() -> None:
    whole = as_events(1)

    assert detect(PATH, whole, len(whole), "trl_log_history").format == "tensorboard"
    assert detect(PATH, whole, len(whole), "generic_tfrecord").format == "generic_tfrecord"


def test_rows_do_not_depend_on_how_records_are_cut_into_calls() -> None:
    found = [(at, item, status) for at, (item, status, _) in enumerate(items("tfrecord", as_events(4)))]

    def derived(records: list[tuple[int, bytes, str]]) -> list[dict[str, Any]]:
        return derive_rows("tensorboard", source(PATH), records, PEOPLE)["training_metrics"].to_pylist()

    assert derived(found) == derived(found[:3]) + derived(found[3:])


def test_every_declared_column_is_given_and_no_field_of_the_events_is_lost() -> None:
    model = {"transformers_version": "5.23.0", "_name_or_path": "some/model"}
    sample = b"Sample:\\nx\\n\\nReward: 0.5000"
    names = "loss reward kl grad_norm lr entropy clip_ratio/region_mean".split()
    numbers = [scalar(f"train/{name}", at + 0.5) + plugin("scalars") for at, name in enumerate(names)]
    records = [
        event(content(3, b"brain.Event:2"), content(10, content(1, b"a writer"))),
        summary(text("args/text_summary", b'{"seed": 77}'), step=71),
        summary(text("model_config/text_summary", json.dumps(model).encode())),
        summary(*numbers, scalar("train/loss", math.nan), step=72),
        summary(text("train/generated_samples/text_summary", sample), step=73),
    ]

    tables = rows(*records)

    assert columns_given(tables) == ADAPTERS["tensorboard"].fields.keys()
    for record, _, _ in items("tfrecord", frame(*records)):
        fields = json.loads(record)
        assert fields.pop("wall_time") == TIME.timestamp()
        gone = lost(fields, tables)
        assert all(one.startswith(("{", "Sample:")) for one in gone), gone  # texts that are columns now


keys = st.sampled_from(
    "wall_time step file_version summary value tag simple_value tensor metadata plugin_data plugin_name dtype "
    "graph_def tensor_shape dim float_val string_val tensor_content unknown source_metadata".split()
)
words = st.sampled_from(["text", "scalars", "args/text_summary", "train/generated_samples/text_summary", "Sample:\\n"])
odd = st.recursive(
    json_values | words | st.sampled_from([1, 7, 9]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=12,
)
value = st.fixed_dictionaries({}, optional={"tag": words | odd, "tensor": odd, "metadata": odd, "simple_value": odd})


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(keys, odd, max_size=5),
    st.lists(value | odd, max_size=3),
    st.dictionaries(keys, odd | st.sampled_from([[0.5], ["{}"], b"1234"]), max_size=5),
)
def test_odd_values_never_escape(event: dict[str, Any], values: list[Any], tensor: dict[str, Any]) -> None:
    for summary_ in (values, [{"tensor": {"dtype": 7, **tensor}, "tag": "args/text_summary"}], [{"tensor": tensor}]):
        record = canonical.dump_canonical({**event, "summary": {"value": summary_}})

        tables = derive_rows("tensorboard", source(PATH), [(0, record, "ok")], PEOPLE)

        assert tables
        for table in tables.values():
            table.validate(full=True)
