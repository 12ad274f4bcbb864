"""Adapters of other packages: the worked example of the docs, installed; and plugins that are refused."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from audit_pipeline.errors import PolicyError
from audit_pipeline.formats.adapter import Adapter
from audit_pipeline.formats.adapters import ADAPTERS, PLUGINS, registered

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "your-own-format.md").read_text()

GOOD = (Adapter("ours", 1, ("jsonl",)),)
TAKEN = (Adapter("trl_log_history", 1, ("jsonl",)),)
ODD = (Adapter("ours", 1, ("xml",)),)
NONE = ("trl",)


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def plugin(name: str) -> EntryPoint:
    return EntryPoint("a", f"{__name__}:{name}", PLUGINS)


def test_the_worked_example_of_the_docs_is_found_and_read(tmp_path: Path) -> None:
    package, site = tmp_path / "package", tmp_path / "site"
    package.mkdir()
    (package / "pyproject.toml").write_text(block("toml"))
    (package / "our_ratings.py").write_text(block("python"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), str(package)], check=True, timeout=120)
    asked = """
import json, sys
from tests.formats.support import derive
from audit_pipeline.formats.detect import detect
line = sys.argv[1].encode() + b"\\n"
found = detect("ratings.jsonl", line * 3, 3 * len(line))
rows = derive(found.format, "ratings.jsonl", [json.loads(sys.argv[1]), {"x": 1}])
print(json.dumps([found.format, rows], default=str))
"""
    path = os.pathsep.join([str(site), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", asked, block("json").strip()],
        capture_output=True, text=True, check=True, timeout=120, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip

    found, rows = json.loads(done.stdout)
    assert found == "our_ratings"
    (rating,), (finding,) = rows["annotations"], rows["log_findings"]
    assert (rating["item_id"], rating["value_num"], rating["created_at"]) == ("q-17", 4.0, "2026-03-05 10:00:00+00:00")
    assert json.loads(rating["extra_json"]) == {"comment": "fine", "device": "phone"}
    assert "jo@example.com" not in done.stdout
    assert finding["found"] == "not of a shape that our_ratings 1 knows"


def test_a_plugin_adds_its_formats_to_ours() -> None:
    assert registered([plugin("GOOD")]).keys() - ADAPTERS.keys() == {"ours"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("TAKEN", "the format 'trl_log_history' exists already"),
        ("ODD", "ours reads 'xml'; containers are jsonl, text"),
        ("NONE", "expected a tuple of Adapter"),
        ("MISSING", "cannot be loaded"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_refused_by_name(name: str, why: str) -> None:
    with pytest.raises(PolicyError, match=rf"format plugin a \({__name__}:{name}\): .*{why}"):
        registered([plugin(name)])
