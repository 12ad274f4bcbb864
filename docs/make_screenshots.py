"""Pictures of Dagster's UI for the README, from a demo home: python docs/make_screenshots.py HOME (needs chromium).

Starts `audit-pipeline ui` on HOME, takes the pictures, ends it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IMAGES = Path(__file__).resolve().parent / "images"
CHROMIUM = (
    "chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --virtual-time-budget=15000"
).split()
_WAIT_S = 120


@contextmanager
def running_ui(home: Path) -> Iterator[str]:
    """The address of a UI on `home`, up and with the code location loaded; ended, with its children, at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(sys.executable).parent / "audit-pipeline"
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("AUDIT_", "DAGSTER_HOME"))}
    with tempfile.TemporaryFile() as log:
        ui = subprocess.Popen(
            [str(script), "ui", "--port", str(port)],
            cwd=home,
            env=environ,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_until_loaded(address)
            yield address
        finally:
            os.killpg(ui.pid, signal.SIGINT)
            try:
                ui.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(ui.pid, signal.SIGKILL)
                ui.wait()


def ask(address: str, query: str) -> dict[str, object]:
    """The answer of Dagster's GraphQL."""
    request = urllib.request.Request(
        f"{address}/graphql", json.dumps({"query": query}).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())["data"]  # type: ignore[no-any-return]


def _wait_until_loaded(address: str) -> None:
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        try:
            if "daily_merkle_root" in json.dumps(ask(address, "{assetNodes{assetKey{path}}}")):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(0.5)
    raise TimeoutError(f"{address}: no UI with our assets within {_WAIT_S} s")


def browse(url: str, *arguments: str) -> str:
    """What headless Chromium prints for a page."""
    with tempfile.TemporaryDirectory() as profile:
        command = [*CHROMIUM, f"--user-data-dir={profile}", *arguments, url]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def main() -> None:
    home = Path(sys.argv[1]).resolve()
    IMAGES.mkdir(exist_ok=True)
    with running_ui(home) as address:
        ask(address, "mutation { setNuxSeen }")  # else a greeting covers the page
        day = sorted(path.name for path in (home / "landing" / "runs").iterdir())[-1]
        pages = {
            "asset-graph.png": ("/locations/audit_pipeline/asset-groups/evidence/lineage", "1500,1450"),
            "materialised-day.png": (f"/assets/daily_merkle_root?view=partitions&partition={day}", "1500,1000"),
            "failed-check.png": ("/assets/policy_updates?view=checks&checkDetail=divergence_hidden", "1800,765"),
        }
        for name, (page, size) in pages.items():
            browse(address + page, f"--window-size={size}", f"--screenshot={IMAGES / name}")


if __name__ == "__main__":
    main()
