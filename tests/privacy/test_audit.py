"""The build passes the audit, and every planted bug is caught by the audit that is named beside it."""

import pytest

from audit_pipeline.errors import ProofError
from tests.privacy.audits import AUDITS
from tests.privacy.building import build_with
from tests.privacy.mutants import MUTANTS


@pytest.mark.parametrize("audit", AUDITS)
def test_the_build_passes(audit: str) -> None:
    with build_with({}) as build:
        AUDITS[audit](build)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_bug_is_caught(name: str) -> None:
    mutant = MUTANTS[name]
    # Some are caught by the build itself, which publishes nothing that was not reserved, priced and marked.
    with build_with({mutant.file: mutant.changes}) as build, pytest.raises((AssertionError, ProofError)) as caught:
        AUDITS[mutant.caught_by](build)
    assert str(caught.value)
