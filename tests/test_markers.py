"""A test that needs a program says which package has it; `make test-all` takes no excuse."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NEEDS_NOTHING_REAL = """
import pytest

@pytest.mark.needs("no-such-program", "no-such-package")
def test_needs_it():
    pass
"""


@pytest.mark.parametrize(("options", "outcome"), [([], "1 skipped"), (["--no-skips-for-programs"], "1 error")])
def test_a_missing_program_is_a_skip_that_names_its_package_or_a_failure(
    tmp_path: Path, options: list[str], outcome: str
) -> None:
    (tmp_path / "test_made.py").write_text(NEEDS_NOTHING_REAL)
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "tests.conftest", "test_made.py", *options]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}

    said = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False).stdout

    assert outcome in said
    assert "no-such-package" in said
