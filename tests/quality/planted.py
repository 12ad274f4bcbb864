"""One fault for each shipped expectation: what is done to the clean day, and which rows must be named for it.

A fault gives back the event_id of the failing rows; None where the expectation is about the day as a whole.
"""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.quality.day import EVENING, Day, add, text

Fault = Callable[[Day], set[str] | None]


def set_field(table: str, field: str, value: Any, at: int = 7) -> Fault:
    def fault(day: Day) -> set[str]:
        row = day[table][at]
        row[field] = value
        return {row["event_id"]}

    return fault


def repeat_id(table: str) -> Fault:
    """Another row with the same event_id: both are named."""

    def fault(day: Day) -> set[str]:
        day[table][-2]["event_id"] = day[table][-1]["event_id"]
        return {day[table][-1]["event_id"]}

    return fault


def few_rows(table: str) -> Fault:
    """A tenth of the rows, none of which another table points at."""

    def fault(day: Day) -> None:
        del day[table][: -max(1, len(day[table]) // 10)]

    return fault


def few_annotations(day: Day) -> None:
    """One judge's answers of a few items, and the gold ones: enough for every other expectation to hold."""
    kept = [row for row in day["annotations"] if row["kind"] == "pairwise" and row["item_id"] in ("0", "1", "2", "3")]
    day["annotations"][:] = kept


def new_field(table: str) -> Fault:
    def fault(day: Day) -> set[str]:
        row = day[table][7]
        row["extra_json"] = '{"never_seen": 1}'
        return {row["event_id"]}

    return fault


def prompts_differ(day: Day) -> set[str]:
    response = day["annotations"][0]["response_b_id"]
    generation(day, response)["prompt_text"] = text(random.Random(1), 12)
    return {
        row["event_id"]
        for row in day["annotations"]
        if response in (row.get("response_a_id"), row.get("response_b_id"))
    }


def responses_alike(day: Day) -> set[str]:
    one, two = day["annotations"][0]["response_a_id"], day["annotations"][0]["response_b_id"]
    generation(day, two)["completion_text"] = generation(day, one)["completion_text"]
    return {
        row["event_id"] for row in day["annotations"] if two in (row.get("response_a_id"), row.get("response_b_id"))
    }


def generation(day: Day, event_id: str) -> dict[str, Any]:
    (found,) = [row for row in day["generations"] if row["event_id"] == event_id]
    return found


def judged_twice(day: Day) -> set[str]:
    again = {k: v for k, v in day["annotations"][4].items() if k not in ("day", "event_id", "position")}
    return {add(day, "annotations", **again)}


def too_fast(day: Day) -> set[str]:
    rows = [row for row in day["annotations"] if row["kind"] == "pairwise"][:8]
    for row in rows:
        row["lead_time_s"] = 0.4
    return {row["event_id"] for row in rows}


def flooding(day: Day) -> set[str]:
    """One judge of 300 items of their own; answers as balanced as before."""
    return {
        add(day, "annotations", item_id=f"f{n}", annotator_id="flood", annotator_kind="human", question="better",
            kind="pairwise", outcome="ab"[n % 2], status="submitted", lead_time_s=20.0)
        for n in range(300)
    }  # fmt: skip


def first_side_wins(day: Day) -> None:
    """All judges of an item say the same, the first side or a tie, so that they agree no less than before."""
    for row in day["annotations"]:
        if row["kind"] == "pairwise":
            row["outcome"] = "tie" if int(row["item_id"]) % 4 == 0 else "a"
            is_tie = row["outcome"] == "tie"
            row["chosen_id"] = None if is_tie else row["response_a_id"]
            row["rejected_id"] = None if is_tie else row["response_b_id"]


def all_say_yes(day: Day) -> None:
    for row in day["annotations"]:
        if row["kind"] == "binary":
            row["value_num"] = 1.0


def gold_missed(day: Day) -> None:
    """Those who try give the other answer than the control items have; on another day's items others agree."""
    for row in day["annotations"]:
        if row["kind"] == "binary" and not row["is_gold"]:
            row["value_num"] = 1 - row["value_num"]


def no_overlap(day: Day) -> None:
    seen = set()
    kept = []
    for row in day["annotations"]:
        if (row["item_id"], row["question"]) not in seen or row["question"] == "harmful":
            kept.append(row)
        seen.add((row["item_id"], row["question"]))
    for n in range(200):
        extra = {"item_id": f"x{n}", "annotator_id": f"p{n % 9}", "outcome": "ab"[n % 2]}
        add(day, "annotations", annotator_kind="human", question="better", kind="pairwise", status="submitted", **extra)
        kept.append(day["annotations"][-1])
    day["annotations"][:] = kept


def chance(day: Day) -> None:
    rng = random.Random(3)
    for row in day["annotations"]:
        if row["kind"] == "pairwise":
            row["outcome"] = rng.choice("ab")
            side = "ab".index(row["outcome"])
            sides = row["response_a_id"], row["response_b_id"]
            row["chosen_id"], row["rejected_id"] = sides[side], sides[1 - side]
        elif not row["is_gold"]:
            row["annotator_kind"] = "model"  # people's answers alone are compared with each other


def stale(day: Day) -> None:
    for row in day["annotations"]:
        row["event_time"] = EVENING - timedelta(days=9)


def empty_completion(day: Day) -> set[str]:
    row = day["generations"][3]
    row["completion_text"] = "  "
    return {row["event_id"]}


def item_repeated(day: Day) -> set[str]:
    first = add_copy(day, 0, group="again")
    add_copy(day, 1, group="again")
    return {first}


def add_copy(day: Day, at: int, group: str, **changes: Any) -> str:
    row = {k: v for k, v in day["generations"][at].items() if k not in ("day", "event_id", "position")}
    return add(day, "generations", **{**row, "group_id": group, **changes})


def item_nearly_repeated(day: Day) -> set[str]:
    """One word of some fifty is another."""
    said = day["generations"][0]["completion_text"].split()
    first = add_copy(day, 0, group="near", completion_text=" ".join([*said[:-1], "changed"]))
    add_copy(day, 1, group="near")
    return {first}


def cut_short(day: Day) -> None:
    for row in day["generations"]:
        if row.get("finish_reason"):
            row["finish_reason"] = "length"


def one_score(day: Day) -> set[str]:
    rows = [row for row in day["reward_scores"] if row["scorer_kind"] == "judge"]
    for row in rows:
        row["score"] = 5.0
    return {rows[0]["event_id"]}


def longer_is_better(day: Day) -> None:
    lengths = {row["event_id"]: len(row.get("completion_token_ids") or []) for row in day["generations"]}
    for row in day["reward_scores"]:
        if row.get("generation_id"):
            row["score"] = lengths[row["generation_id"]] / 10


def hacked(day: Day) -> set[str]:
    """Reward climbs with the steps while KL runs away."""
    for row in day["policy_updates"]:
        row["reward"], row["kl"] = row["step"] / 10, float(row["step"])
    return {day["policy_updates"][-1]["event_id"]}


def hidden(day: Day) -> set[str]:
    row = day["policy_updates"][4]
    row["loss"], row["grad_norm"], row["not_finite"] = 0.0, None, ["grad_norm"]
    return {row["event_id"]}


def not_finite(day: Day) -> set[str]:
    row = day["policy_updates"][4]
    row["entropy"], row["not_finite"] = None, ["entropy"]
    return {row["event_id"]}


def same_weights(day: Day) -> set[str]:
    one, two = day["model_checkpoints"][3:5]
    two["sha256"] = one["sha256"]
    return {one["event_id"], two["event_id"]}


def half_names_missing(day: Day) -> set[str]:
    rows = day["runs"][:16]
    for row in rows:
        row["framework"] = None
    return {row["event_id"] for row in rows}


def kind_missing(day: Day) -> set[str]:
    rows = [row for row in day["annotations"] if row.get("outcome") == "tie"][:6]
    for row in rows:
        row["kind"] = None
    return {row["event_id"] for row in rows}


FAULTS: dict[tuple[str, str], Fault] = {
    **{
        (table, "event_id_unique"): repeat_id(table)
        for table in (
            "annotations generations reward_scores training_metrics policy_updates runs model_checkpoints log_findings"
        ).split()
    },
    ("annotations", "kind_present"): kind_missing,
    ("annotations", "kind_known"): set_field("annotations", "kind", "vote", at=-1),
    ("annotations", "outcome_known"): set_field("annotations", "outcome", "left", at=-1),
    ("annotations", "status_known"): set_field("annotations", "status", "done"),
    ("annotations", "annotator_kind_known"): set_field("annotations", "annotator_kind", "robot", at=-2),
    ("annotations", "lead_time_s_in_range"): set_field("annotations", "lead_time_s", 90_000.0),
    ("annotations", "times_in_order"): set_field("annotations", "updated_at", EVENING - timedelta(hours=1)),
    ("annotations", "prompts_differ_in_pair"): prompts_differ,
    ("annotations", "responses_alike_in_pair"): responses_alike,
    ("annotations", "judged_once"): judged_twice,
    ("annotations", "not_too_fast"): too_fast,
    ("annotations", "no_flooding"): flooding,
    ("annotations", "position_bias"): first_side_wins,
    ("annotations", "class_balance"): all_say_yes,
    ("annotations", "gold_accuracy"): gold_missed,
    ("annotations", "overlap"): no_overlap,
    ("annotations", "agreement"): chance,
    ("annotations", "freshness"): stale,
    ("annotations", "fields_known"): new_field("annotations"),
    ("annotations", "volume"): few_annotations,
    ("generations", "split_known"): set_field("generations", "split", "test", at=-1),
    ("generations", "role_boundaries_known"): set_field("generations", "role_boundaries", "guessed"),
    ("generations", "step_in_range"): set_field("generations", "step", -1, at=-1),
    ("generations", "completion_present"): empty_completion,
    ("generations", "logprobs_are_of_tokens"): set_field("generations", "logprobs", [0.1], at=-1),
    ("generations", "items_repeated"): item_repeated,
    ("generations", "items_nearly_repeated"): item_nearly_repeated,
    ("generations", "not_cut_short"): cut_short,
    ("generations", "fields_known"): new_field("generations"),
    ("generations", "volume"): few_rows("generations"),
    ("reward_scores", "scorer_present"): set_field("reward_scores", "scorer", None),
    ("reward_scores", "score_state_present"): set_field("reward_scores", "score_state", None),
    ("reward_scores", "score_state_known"): set_field("reward_scores", "score_state", "fine"),
    ("reward_scores", "scores_finite"): set_field("reward_scores", "score_state", "nan"),
    ("reward_scores", "scores_parsed"): set_field("reward_scores", "score_state", "sentinel"),
    ("reward_scores", "score_in_range"): set_field("reward_scores", "score", 5000.0),
    ("reward_scores", "scores_of_one_kind"): set_field("reward_scores", "score", 7.5),
    ("reward_scores", "scorers_tell_apart"): one_score,
    ("reward_scores", "length_bias"): longer_is_better,
    ("reward_scores", "fields_known"): new_field("reward_scores"),
    ("reward_scores", "volume"): few_rows("reward_scores"),
    ("training_metrics", "metric_present"): set_field("training_metrics", "metric", None),
    ("training_metrics", "split_known"): set_field("training_metrics", "split", "test"),
    ("training_metrics", "value_state_known"): set_field("training_metrics", "value_state", "fine"),
    ("training_metrics", "step_in_range"): set_field("training_metrics", "step", -1),
    ("training_metrics", "epoch_in_range"): set_field("training_metrics", "epoch", -0.5),
    ("training_metrics", "metrics_finite"): set_field("training_metrics", "value_state", "+inf"),
    ("training_metrics", "accuracies_are_shares"): set_field("training_metrics", "value", 1.5, at=5),
    ("training_metrics", "fields_known"): new_field("training_metrics"),
    ("training_metrics", "volume"): few_rows("training_metrics"),
    ("policy_updates", "divergence_hidden"): hidden,
    ("policy_updates", "numbers_finite"): not_finite,
    ("policy_updates", "step_in_range"): set_field("policy_updates", "step", -1),
    ("policy_updates", "kl_in_range"): set_field("policy_updates", "kl", -3.0),
    ("policy_updates", "reward_in_range"): set_field("policy_updates", "reward", 1e6),
    ("policy_updates", "grad_norm_in_range"): set_field("policy_updates", "grad_norm", 1e6),
    ("policy_updates", "lr_in_range"): set_field("policy_updates", "lr", 3.0),
    ("policy_updates", "entropy_in_range"): set_field("policy_updates", "entropy", -0.1),
    ("policy_updates", "clip_fraction_in_range"): set_field("policy_updates", "clip_fraction", 1.2),
    ("policy_updates", "reward_hacking_kl"): hacked,
    ("policy_updates", "volume"): few_rows("policy_updates"),
    ("runs", "run_key_present"): set_field("runs", "run_key", None),
    ("runs", "framework_present"): half_names_missing,
    ("runs", "ends_after_start"): set_field("runs", "ended_at", EVENING - timedelta(days=1)),
    ("runs", "seed_in_range"): set_field("runs", "seed", -5),
    ("runs", "fields_known"): new_field("runs"),
    ("model_checkpoints", "kind_known"): set_field("model_checkpoints", "kind", "blob"),
    ("model_checkpoints", "step_in_range"): set_field("model_checkpoints", "step", -1),
    ("model_checkpoints", "size_bytes_in_range"): set_field("model_checkpoints", "size_bytes", 0),
    ("model_checkpoints", "weights_hashed"): set_field("model_checkpoints", "sha256", None),
    ("model_checkpoints", "weights_change_with_steps"): same_weights,
    ("log_findings", "kind_known"): set_field("log_findings", "kind", "odd"),
    ("log_findings", "secrets_in_logs"): lambda day: {add(day, "log_findings", kind="withheld", found="API key")},
}
