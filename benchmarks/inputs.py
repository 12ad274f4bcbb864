"""The files that works are given: invented run logs, the same at every call."""

import json
import random
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import islice
from pathlib import Path

DAY = date(2026, 3, 5)
WORDS = "the reward of a policy is what people say they like when they see two answers side by side again".split()
_PHRASES = 50_000  # 2 MB of them: more than the window in which zstd looks back at level 1


def write_lines(path: Path, records: int) -> None:
    """Rollouts of about 300 bytes a line, with numbers and a text."""
    path.write_bytes(b"")
    with path.open("w") as file:
        for lines in _batched(_lines(records)):
            file.write("".join(lines))


def write_malformed(path: Path, lines: Path, every: int) -> None:
    """The same lines, each so-many-th of them cut in half."""
    with lines.open() as whole, path.open("w") as file:
        for number, line in enumerate(whole, start=1):
            file.write(line if number % every else line[: len(line) // 2] + "\n")


def write_sources(folder: Path, records: int, sources: int) -> None:
    """The same kind of lines in so many files."""
    folder.mkdir()
    lines = _lines(records)
    for number in range(sources):
        count = records // sources + (number < records % sources)
        (folder / f"{number:05d}.jsonl").write_text("".join(islice(lines, count)))


def write_rollouts(path: Path, records: int) -> None:
    """Rollouts as verl writes them, about 300 bytes a line. Give `path` a name that verl would: its step."""
    chosen, phrases = random.Random(2), _phrases()
    with path.open("w") as file:
        for _ in range(records):
            first, second = (" ".join(chosen.choices(phrases, k=3)) for _ in range(2))
            line = {"input": first, "output": second, "gts": None, "score": round(chosen.gauss(0, 1), 6), "step": 1}
            file.write(json.dumps(line) + "\n")


def write_metrics(path: Path, lines: int) -> None:
    """Metrics as verl writes them, a hundred a line."""
    chosen = random.Random(3)
    with path.open("w") as file:
        for step in range(lines):
            named = {"actor/pg_loss": 0.1, "actor/grad_norm": 1.0, "actor/lr": 1e-6, "critic/rewards/mean": 0.5}
            found = {f"actor/metric_{n}": chosen.random() for n in range(96)}
            file.write(json.dumps({"step": step, "data": {**named, **found}}) + "\n")


def write_small(folder: Path, joined: Path, rollouts: Path, files: int) -> None:
    """Three rollouts a file, about a kilobyte; and all of them in the one file `joined`."""
    folder.mkdir()
    with rollouts.open() as lines, joined.open("w") as all_lines:
        for number in range(files):
            text = "".join(islice(lines, 3))
            (folder / f"{number}.jsonl").write_text(text)
            all_lines.write(text)


def land_days(landing: Path, days: int, files: int) -> None:
    """So many small files, spread over the days up to DAY, where the stream `runs` lands."""
    for number in range(files):
        folder = landing / "runs" / (DAY - timedelta(days=number % days)).isoformat()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jsonl").write_text('{"a":1}\n{"a":2}\n{"a":3}\n')


def _lines(records: int) -> Iterator[str]:
    chosen, phrases = random.Random(1), _phrases()
    for number in range(records):
        output = " ".join(chosen.choices(phrases, k=4))
        yield (
            f'{{"id": "{chosen.getrandbits(64):016x}", "run_id": "run-{number % 7}", "step": {number // 64}, '
            f'"reward": {chosen.random() * 2 - 1:.6f}, "kl": {chosen.random():.6f}, "policy": "policy-3", '
            f'"output": "{output}"}}\n'
        )


def _phrases() -> list[str]:
    chosen = random.Random(0)
    return [" ".join(chosen.choices(WORDS, k=8)) for _ in range(_PHRASES)]


def _batched(lines: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(lines, 10_000)):
        yield batch
