"""Where one profile keeps its things."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of a profile. `keys` and `marks` lie outside the lake: who can write the lake must not write them."""

    landing: Path
    lake: Path
    evidence: Path
    log: Path
    keys: Path
    marks: Path
    reports: Path
    dagster: Path

    @property
    def own(self) -> tuple[Path, ...]:
        """Where the pipeline writes: nothing there is a landed file."""
        return self.lake, self.evidence, self.log, self.keys, self.marks, self.reports, self.dagster
