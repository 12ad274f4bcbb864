"""The text of a checkpoint, as C2SP tlog-checkpoint defines it: which log, how many leaves, which root.

    <origin>
    <size, decimal without leading zeros>
    <base64 of the root>

Three lines and no more. C2SP lets other logs add extension lines, which nobody can audit; ours have none, so a text
that has some is not our log's and is refused.
"""

from dataclasses import dataclass

from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.tlog.encoding import format_base64, parse_base64, parse_decimal, shown
from audit_pipeline.tlog.keys import check_name
from audit_pipeline.tlog.merkle import TreeHead


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a named log. Raises ProofError where no log has such a head."""

    origin: str
    """The log's name, a URL prefix without scheme, at most 255 bytes."""
    size: int
    """Leaves."""
    root: bytes

    def __post_init__(self) -> None:
        try:
            check_name(self.origin)
        except InputError as err:
            raise ProofError(f"checkpoint: the origin is not a log's name: {err}") from err
        TreeHead(self.size, self.root)

    @property
    def head(self) -> TreeHead:
        return TreeHead(self.size, self.root)


def format_checkpoint(checkpoint: Checkpoint) -> str:
    return f"{checkpoint.origin}\n{checkpoint.size}\n{format_base64(checkpoint.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint that `format_checkpoint` wrote as `text`.

    Raises:
        ProofError: it could not have.
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise ProofError(f"checkpoint: expected the three lines origin, size and root, got {shown(text)}")
    origin, size, root, _ = lines
    return Checkpoint(origin, parse_decimal(size, "checkpoint: size"), parse_base64(root, "checkpoint: root"))
