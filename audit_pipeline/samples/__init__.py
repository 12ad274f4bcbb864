"""Sample run logs of several tools, as they land: for the demo, for trying things out, for tests.

All text is invented. Some of it is broken on purpose, as real logs are: torn lines, bytes that are not UTF-8, NaN, a
repeated key, a last line without its end, an empty file.
"""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random

from audit_pipeline.samples import tools

_STEP_ROWS = 50  # rows of a step's file, until that would make more than _STEPS files a day
_STEPS = 20


def write_sample_logs(landing: Path, days: Sequence[date], records: int, seed: int) -> int:
    """Write logs that come to about `records` records over all `days` under `landing`/runs/<day>/; how many files.

    The same arguments give the same bytes and times. A file's time lies in the small hours of its day.
    """
    written = 0
    for day in days:
        began = datetime.combine(day, time(1), UTC)
        for number, (name, content) in enumerate(_files(began, max(records // len(days), 40), seed)):
            path = landing / "runs" / day.isoformat() / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            stamp = (began + timedelta(minutes=5 + number % 50)).timestamp()
            os.utime(path, (stamp, stamp))
            written += 1
    return written


def _files(began: datetime, records: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """(path, bytes) of one day's files, about `records` records."""
    rng = Random(f"{seed}/{began.date()}")  # noqa: S311 - sample data must be the same again
    history = tools.dpo_history(rng, records // 12)
    yield "trl/dpo/trainer_state.json", tools.trainer_state(history)
    yield "trl/dpo/log_history.jsonl", tools.log_history(history, began)
    for step, rows in _steps(records // 6):
        yield f"trl/grpo/completions/completions_{step:05}.parquet", tools.trl_completions(rng, step, rows)
    last = 0
    for step, rows in _steps(records // 4):
        yield f"verl/rollouts/{step}.jsonl", tools.verl_rollouts(rng, step, rows)
        last = step
    yield f"verl/rollouts/{last + 1}.jsonl", tools.broken_rollouts(rng, last + 1)
    yield f"verl/rollouts/{last + 2}.jsonl", b""
    yield "verl/metrics/assistant/grpo.jsonl", tools.verl_metrics(rng, records // 12)
    yield "preferences/pairs.jsonl.gz", tools.preference_pairs(rng, records // 8)
    yield "label_studio/project-7.json", tools.label_studio_export(rng, began, records // 12)
    yield "crowd/comparisons.csv", tools.crowd_comparisons(rng, records // 8)


def _steps(rows: int) -> Iterator[tuple[int, int]]:
    """(step, rows of its file), so that the files hold `rows` rows."""
    step_rows = max(_STEP_ROWS, -(-rows // _STEPS))
    for step, at in enumerate(range(0, rows, step_rows), start=1):
        yield step, min(step_rows, rows - at)
