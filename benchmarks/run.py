"""Ingest, seal and verify beside the fastest plain tools, in one run, as ratios. Writes docs/benchmarks.md.

    python benchmarks/run.py [--records N] [--rounds N]

Each figure is a process of its own; rounds alternate between works, so that a slow minute meets all of them.
"""

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORDS = "the reward of a policy is what people say they like when they see two answers side by side again".split()


def write_rollouts(path: Path, records: int) -> None:
    """Invented rollout lines of about 300 bytes, half a million different ones."""
    chosen = random.Random(1)
    with path.open("w") as file:
        for step in range(records):
            line = {
                "id": f"{chosen.getrandbits(64):016x}",
                "run_id": f"run-{step % 7}",
                "step": step // 64,
                "reward": round(chosen.gauss(0, 1), 6),
                "kl": round(chosen.random(), 6),
                "policy": "policy-3",
                "output": " ".join(chosen.choices(WORDS, k=32)),
            }
            file.write(json.dumps(line) + "\n")


def write_verl(folder: Path, records: int) -> dict[str, Path]:
    """Rollouts and metrics as verl writes them: {work: file}. A line of metrics has a hundred."""
    chosen = random.Random(2)
    rollouts, metrics = folder / "1.jsonl", folder / "metrics.jsonl"
    with rollouts.open("w") as file:
        for _ in range(records):
            texts = {key: " ".join(chosen.choices(WORDS, k=24)) for key in ("input", "output")}
            file.write(json.dumps({**texts, "gts": None, "score": round(chosen.gauss(0, 1), 6), "step": 1}) + "\n")
    with metrics.open("w") as file:
        for step in range(records // 20):
            found = {f"actor/metric_{n}": chosen.random() for n in range(96)}
            named = {"actor/pg_loss": 0.1, "actor/grad_norm": 1.0, "actor/lr": 1e-6, "critic/rewards/mean": 0.5}
            file.write(json.dumps({"step": step, "data": {**named, **found}}) + "\n")
    return {"ingest_rollouts": rollouts, "ingest_metrics": metrics}


def write_small(folder: Path, files: int) -> int:
    """The same rollouts as many files of a kilobyte, and all in one file; gives back how many files."""
    (folder / "small").mkdir()
    with (folder / "1.jsonl").open() as rollouts, (folder / "joined.jsonl").open("w") as joined:
        for number in range(files):
            text = "".join(rollouts.readline() for _ in range(3))
            (folder / "small" / f"{number}.jsonl").write_text(text)
            joined.write(text)
    return files


def measure(work: str, file: Path, home: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, str(HERE / "work.py"), work, str(file), str(home)],
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    if done.returncode:
        sys.exit(f"{work} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def machine() -> str:
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    return f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}, Linux {platform.release()}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--records", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--home", type=Path, default=HERE.parent / "bench-home")
    given = options.parse_args()
    shutil.rmtree(given.home, ignore_errors=True)
    given.home.mkdir(parents=True)
    file = given.home / "rollouts.jsonl"
    write_rollouts(file, given.records)
    found: dict[str, list[dict[str, float]]] = {}
    for number in range(given.rounds):
        for work in ("ingest", "plain_arro3", "plain_daft"):
            found.setdefault(work, []).append(measure(work, file, given.home / f"{work}-{number}"))
        for work in ("seal", "verify", "decode"):
            found.setdefault(work, []).append(measure(work, file, given.home / f"ingest-{number}"))
        if number < given.rounds - 1:
            for work in ("ingest", "plain_arro3", "plain_daft"):
                shutil.rmtree(given.home / f"{work}-{number}")
    typed = write_verl(given.home, given.records // 10)
    for number in range(given.rounds):
        for work in typed:
            found.setdefault(work, []).append(measure(work, file, given.home / f"{work}-{number}"))
            found.setdefault(f"derive {work}", []).append(measure("derive", file, given.home / f"{work}-{number}"))
    small = write_small(given.home, given.records // 200)
    for number in range(given.rounds):
        for work in ("ingest_small", "ingest_joined"):
            found.setdefault(work, []).append(measure(work, file, given.home / f"{work}-{number}"))
        home = given.home / f"ingest_small-{number}"
        found.setdefault("derive ingest_small", []).append(measure("derive", file, home))
    rates = measure("adapters", file, given.home)
    page = (
        report(found, given.records, file.stat().st_size, given.rounds)
        + report_derivation(found, rates)
        + report_small(found, small)
    )
    (HERE.parent / "docs" / "benchmarks.md").write_text(page)
    print(page)
    shutil.rmtree(given.home)


def report(found: dict[str, list[dict[str, float]]], records: int, size_bytes: int, rounds: int) -> str:
    seconds = {work: statistics.median(run["seconds"] for run in runs) for work, runs in found.items()}
    peak = {work: max(run["peak_bytes"] for run in runs) for work, runs in found.items()}
    peers = {
        "ingest": ("plain_arro3", "plain_daft"),
        "verify": ("decode",),
        "seal": (),
        "plain_arro3": (),
        "plain_daft": (),
        "decode": (),
    }
    named = {
        "ingest": "ingest: records, salts, leaves, trees, commits",
        "seal": "seal the day",
        "verify": "verify everything",
        "plain_arro3": "peer: arro3 → write_deltalake, typed columns only",
        "plain_daft": "peer: daft read_text → write_deltalake",
        "decode": "limit: DuckDB decodes every column of the same files",
    }
    lines = [
        "# Benchmarks",
        "",
        "Made by `make bench`; do not edit. What counts is the ratio: machines differ, and this one is shared.",
        "",
        f"{records:,} JSONL records, {size_bytes / 1e6:,.0f} MB, medians of {rounds} rounds. {machine()}.",
        "",
        "| work | seconds | records/s | MB/s | peak memory, MB |",
        "|---|---|---|---|---|",
    ]
    for work, name in named.items():
        rate = records / seconds[work]
        speed = size_bytes / 1e6 / seconds[work]
        lines.append(f"| {name} | {seconds[work]:.2f} | {rate:,.0f} | {speed:,.0f} | {peak[work] / 1e6:,.0f} |")
    lines += ["", "| ratio | median | lowest to highest round |", "|---|---|---|"]
    for work, others in peers.items():
        for other in others:
            ratios = [b["seconds"] / a["seconds"] for a, b in zip(found[work], found[other], strict=True)]
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            lines.append(f"| rate of {work} / rate of {other} | {statistics.median(ratios):.2f} | {spread} |")
    return "\n".join(lines) + "\n"


def report_derivation(found: dict[str, list[dict[str, float]]], rates: dict[str, float]) -> str:
    lines = ["", "## Event tables", "", "| ratio | median | lowest to highest round |", "|---|---|---|"]
    for work in ("ingest_rollouts", "ingest_metrics"):
        pairs = zip(found[work], found[f"derive {work}"], strict=True)
        ratios = [alone["seconds"] / (alone["seconds"] + derived["seconds"]) for alone, derived in pairs]
        what = work.removeprefix("ingest_")
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        lines.append(
            f"| rate of ingest and derive / rate of ingest, {what} | {statistics.median(ratios):.2f} | {spread} |"
        )
    lines += ["", "Events per second of each adapter, on the small records of the tests, in one process:", ""]
    lines += ["| format | events/s |", "|---|---|"]
    lines += [f"| {name} | {rate:,.0f} |" for name, rate in rates.items()]
    return "\n".join(lines) + "\n"


def report_small(found: dict[str, list[dict[str, float]]], files: int) -> str:
    lines = ["", "## Small files", "", f"{files:,} files of three rollouts, about a kilobyte each.", ""]
    lines += ["| work | files/s |", "|---|---|"]
    for work in ("ingest_small", "derive ingest_small"):
        rate = files / statistics.median(run["seconds"] for run in found[work])
        lines.append(f"| {work.split()[0].removesuffix('_small')} | {rate:,.0f} |")
    ratios = [b["seconds"] / a["seconds"] for a, b in zip(found["ingest_small"], found["ingest_joined"], strict=True)]
    lines += ["", "| ratio | median | lowest to highest round |", "|---|---|---|"]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    what = "rate of ingest / rate of ingest of the same records in one file"
    lines.append(f"| {what} | {statistics.median(ratios):.2f} | {spread} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
