"""A day in the life of the pipeline, three times over: sample logs, the daily job, a check, and a tampered copy."""

import dataclasses
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from audit_pipeline.cli.jobs import run_closing, run_days, run_releases
from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.lake.declared import RECORDS, RELEASES, SOURCES
from audit_pipeline.lake.keys import make_keys
from audit_pipeline.lake.opened import Lake, open_lake
from audit_pipeline.policy import Policy, init_project, load_policy
from audit_pipeline.privacy.unit import Window
from audit_pipeline.samples import write_sample_logs
from audit_pipeline.tlog import parse_vkey
from audit_pipeline.tlog.trust import Trust
from audit_pipeline.verify import verify

MARKER = ".audit-demo"
DAYS = 3
SEED = 20260101
_ORIGIN_PREFIX = "demo.invalid/audit"
_TRIES = 500  # flips to try until the file still opens, so that only evidence can tell

Say = Callable[[str], None]


def run_demo(home: Path, records: int, today: date, environ: Mapping[str, str], say: Say) -> None:
    """Run the demo in `home`, a folder of its own that an earlier demo may have left.

    `environ` is the process's: the runs read the profile and the key's passphrase from it as well.

    Raises:
        InputError: `home` holds something else.
        ProofError: the lake does not verify, or the tampered copy does.
    """
    _prepare_home(home)
    policy = load_policy(home, environ)
    if not isinstance(policy.places.landing, Path):
        raise InputError("the demo works on local folders: unset AUDIT_PROFILE")
    days = [today - timedelta(days=n) for n in range(DAYS, 0, -1)]
    files = write_sample_logs(policy.places.landing, days, records, SEED)
    say(f"1. {files} sample files of several tools, {days[0]} to {days[-1]}, some broken: {policy.places.landing}")
    passphrase = environ.get("AUDIT_KEY_PASSPHRASE", "").encode() or None
    vkey = make_keys(policy.places.keys, _ORIGIN_PREFIX, os.urandom, passphrase)
    say(f"2. A signing key for this demo; its public half: {vkey}")
    for done in run_days(home, policy.places.dagster, days):
        if failed := (*done.failures, *done.errors):
            raise ProofError(f"{done.day}: run {done.run_id} failed: {'; '.join(failed)}")
        say(f"3. {done.day}: taken in, sealed, verified, typed view derived and judged (run {done.run_id})")
        for finding in done.findings:
            say(f"   found: {finding}")
    lake = open_lake(policy.places)
    say(f"4. {_release(policy, days[-1])}")
    closed = run_closing(home, policy.places.dagster, days[-1])
    if failed := (*closed.failures, *closed.errors):
        raise ProofError(f"{days[-1]}: run {closed.run_id} failed: {'; '.join(failed)}")
    say(f"5. Controls judged on what is sealed: {', '.join(f'{n} {status}' for status, n in closed.controls.items())}")
    found = verify(lake, trust=Trust((parse_vkey(vkey),)))
    if found.problems:
        raise ProofError(f"the demo's own lake does not verify: {found.problems[0].message}")
    say(f"6. Verified: {found.records} records of {found.days} days; shown: {', '.join(found.levels)}")
    _show_tampering(lake, home / "tampered", vkey, say)
    command = "audit-pipeline" if shutil.which("audit-pipeline") else Path(sys.executable).with_name("audit-pipeline")
    say(_WHERE_TO_LOOK.format(home=home, command=command, first=days[0]))


def _prepare_home(home: Path) -> None:
    """Make `home` a fresh policy folder whose places all lie in it."""
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        if not (home / MARKER).is_file():
            raise InputError(f"{home}: exists and is not a demo's; name another folder with --home")
        shutil.rmtree(home)
    home.mkdir(parents=True, exist_ok=True)
    (home / MARKER).write_text("Made by `audit-pipeline demo`, which empties this folder when it runs again.\n")
    init_project(home)
    # With its places fixed, the folder works by itself: `cd` into it, whatever AUDIT_HOME says.
    profile = home / "resources" / "local.yaml"
    profile.write_text(profile.read_text().replace("{home}/", "./"))
    # A demo has few days: its summaries are of one day each, not of a week.
    privacy = home / "assets" / "privacy" / "defs.yaml"
    privacy.write_text(privacy.read_text().replace("window: weekly", "window: daily"))


def _release(policy: Policy, day: date) -> str:
    """Publish the summaries of one day; what they say of how many annotators there were."""
    assert policy.summaries is not None
    due = [(release, Window("daily", day)) for release in policy.summaries.releases]
    for done in run_releases(policy.root, policy.places.dagster, due):
        if failed := (*done.failures, *done.errors):
            raise ProofError(f"{done.release}: run {done.run_id} failed: {'; '.join(failed)}")
    (row,) = open_lake(policy.places).open(RELEASES).read(["numbers"], day).to_pylist()
    number = next(number for number in row["numbers"] if number["statistic"] == "annotators")
    return (
        f"Summaries of {day} that protect annotators, with noise made for hundreds of them: there were "
        f"{max(0, number['lower']):.0f} to {number['upper']:.0f} (95%)"
    )


def _show_tampering(lake: Lake, copy: Path, vkey: str, say: Say) -> None:
    """Flip one bit of one record in a copy of the lake, and verify the copy."""
    for name in ("lake", "evidence", "log"):
        shutil.copytree(getattr(lake.places, name), copy / name)
    places = dataclasses.replace(lake.places, lake=copy / "lake", evidence=copy / "evidence", log=copy / "log")
    forged = open_lake(places, lake.vkey)
    file = copy / "lake" / RECORDS.area / RECORDS.name / forged.open(RECORDS).active_files()[-1]
    say(f"7. In a copy, one bit changed: byte {flip_bit(file)} of {file}")
    found = verify(forged, trust=Trust((parse_vkey(vkey),)))
    if not found.problems:
        raise ProofError(f"{copy}: a bit was changed and verify did not find it")
    paths = _paths(lake)
    for problem in found.problems:
        where = f"day {problem.day}, source {paths.get(problem.source, problem.source)}, position {problem.position}"
        say(f"   FOUND: {problem.table}, {where}: {problem.message}")


def flip_bit(file: Path) -> int:
    """Flip one bit in the middle of a Parquet file's records, so that it still opens; gives back the byte's offset."""
    with pq.ParquetFile(file) as opened:
        group = opened.metadata.row_group(0)
        column = group.column(opened.schema_arrow.names.index("record"))
        middle = column.data_page_offset + column.total_compressed_size // 2
    original = file.read_bytes()
    for offset in range(middle, min(middle + _TRIES, len(original))):
        file.write_bytes(original[:offset] + bytes([original[offset] ^ 1]) + original[offset + 1 :])
        if _opens(file):
            return offset
    return offset  # it opens no more: that is found all the more


def _opens(file: Path) -> bool:
    try:
        pq.read_table(file)
    except (OSError, pa.ArrowException):
        return False
    return True


def _paths(lake: Lake) -> dict[str, str]:
    rows = lake.open(SOURCES).read(["source_id", "path"]).to_pylist()
    return {row["source_id"]: row["path"] for row in rows}


_WHERE_TO_LOOK = """\
Where to look next:
  cd {home}
  {command} verify
  {command} query "SELECT day, stream, path, format, records, quarantined FROM sources ORDER BY ALL"
  {command} query "SELECT day, status, reason, count(*) AS n FROM records GROUP BY ALL ORDER BY ALL"
  {command} query "SELECT day, unnest(numbers, recursive := true) FROM releases"
  {command} status
  {command} report --from {first}        # refused: the samples hide a divergence, and nobody has waived the check
  {command} ui        # Dagster, with the runs above\
"""
