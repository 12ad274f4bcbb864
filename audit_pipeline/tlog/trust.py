"""Trust files: the keys somebody decided to believe, and how far they have seen the log, as C2SP tlog-policy writes it.

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> <k>|any|all <member> …
    quorum <name>|none
    timestamper <name> <base64 of a certificate, DER>       ours, not of C2SP
    # a comment
    <a checkpoint, byte for byte as it was published>       ours, not of C2SP; to the end of the file

Lines may come with spaces and tabs around and between their words. A group and the quorum name what was defined above
them; no name is a member twice, and no key is there twice, so each witness counts once. Where no witness is named, the
line `quorum none` may be left out. The URL of a log is read over.

A wrong file raises InputError with the line: whoever checks chose it, and only they can put it right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from audit_pipeline.errors import AuditError, InputError
from audit_pipeline.tlog.checkpoint import Checkpoint, open_checkpoint
from audit_pipeline.tlog.encoding import format_base64, parse_base64, shown
from audit_pipeline.tlog.handover import follow_handovers
from audit_pipeline.tlog.keys import ED25519, Verifier, format_vkey, parse_vkey
from audit_pipeline.tlog.note import Note

_KEYWORDS = ("log", "witness", "group", "quorum", "timestamper")
_BLANK = " \t"
_NO_QUORUM = "none"


@dataclass(frozen=True, slots=True)
class Group:
    """Some witnesses and groups, of which so many must have cosigned."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trust:
    """What is believed of a log. `parse_trust` makes one whose names and keys are in order."""

    logs: tuple[Verifier, ...]
    """Any of them may have signed."""
    witnesses: Mapping[str, Verifier] = field(default_factory=dict)
    """By the names that groups and the quorum use. Bytes that are not UTF-8 are surrogates (PEP 383)."""
    groups: Mapping[str, Group] = field(default_factory=dict)
    """In an order in which each follows its members."""
    quorum: str | None = None
    """The witness or group that must have cosigned; None where nobody must."""
    held: bytes | None = None
    """A signed checkpoint of the log, as it was published."""
    urls: Mapping[str, str] = field(default_factory=dict)
    """Where witnesses can be asked, by name; not of all is it known."""
    timestampers: Mapping[str, bytes] = field(default_factory=dict)
    """Root certificates (DER) of those whose timestamps count, by name."""

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        return (*self.logs, *self.witnesses.values())


def parse_trust(text: bytes) -> Trust:
    """The trust that a file says.

    Raises:
        InputError: a line is none of the above, names what is not defined, or repeats a name or a key.
    """
    reading = _Reading()
    lines = text.split(b"\n")
    held = None
    for at, line in enumerate(lines):
        words = line.decode("utf-8", "surrogateescape").strip(_BLANK).replace("\t", " ").split(" ")
        words = [word for word in words if word]
        if not words or words[0].startswith("#"):
            continue
        if words[0] not in _KEYWORDS or len(words) == 1:
            held = b"\n".join(lines[at:])
            reading.check_held(at + 1, held)
            break
        reading.add(at + 1, words)
    return reading.trust(held)


def format_trust(trust: Trust) -> bytes:
    """A trust file that says the same; no two trusts share one."""
    lines = [f"log {format_vkey(log)}" for log in trust.logs]
    for name, witness in trust.witnesses.items():
        lines.append(" ".join([f"witness {name} {format_vkey(witness)}", *filter(None, [trust.urls.get(name)])]))
    lines += [f"group {name} {group.threshold} {' '.join(group.members)}" for name, group in trust.groups.items()]
    lines += [f"timestamper {name} {format_base64(root)}" for name, root in trust.timestampers.items()]
    lines += [f"quorum {trust.quorum or _NO_QUORUM}", ""]
    return "\n".join(lines).encode("utf-8", "surrogateescape") + (trust.held or b"")


def quorum_holds(trust: Trust, note: Note) -> bool:
    """Whether the quorum cosigned this note, opened with `trust.verifiers`; False where nobody is asked to."""
    signed_by = {signature.verifier for signature in note.signatures}
    cosigned = {name for name, witness in trust.witnesses.items() if witness in signed_by}
    for name, group in trust.groups.items():
        if sum(member in cosigned for member in group.members) >= group.threshold:
            cosigned.add(name)
    return trust.quorum in cosigned


def open_trusted(note: bytes, trust: Trust, handovers: Sequence[bytes]) -> tuple[Checkpoint, Note]:
    """The checkpoint that a trusted log signed, with a trusted key or one that handovers lead to from there.

    Raises:
        ProofError: it did not, or not with the key that was in force, or a handover does not hold.
    """
    keys = follow_handovers(trust.logs, handovers)
    checkpoint, opened = open_checkpoint(note, (*trust.verifiers, *(keys.keys if keys else ())))
    if keys is not None:
        keys.check_signed(checkpoint, opened)
    return checkpoint, opened


class _Reading:
    """What the lines so far have said. Every refusal names its line."""

    def __init__(self) -> None:
        self._logs: dict[bytes, Verifier] = {}
        self._witnesses: dict[str, Verifier] = {}
        self._groups: dict[str, Group] = {}
        self._members: set[str] = set()
        self._urls: dict[str, str] = {}
        self._timestampers: dict[str, bytes] = {}
        self._quorum = ""

    def add(self, number: int, words: Sequence[str]) -> None:
        try:
            self._add(*words)
        except AuditError as err:
            raise InputError(f"trust file, line {number}: {err}") from err

    def check_held(self, number: int, held: bytes) -> None:
        try:
            open_checkpoint(held, self._logs.values())
        except AuditError as err:
            what = "expected `log`, `witness`, `group`, `quorum`, or to the file's end a checkpoint by a log above"
            raise InputError(f"trust file, line {number}: {what} ({err})") from err

    def trust(self, held: bytes | None) -> Trust:
        if not self._logs:
            raise InputError("trust file: no line `log <vkey>`: copy the vkey you were given into it")
        if not self._quorum and self._witnesses:
            raise InputError("trust file: witnesses without a quorum: add `quorum <name>`, or `quorum none`")
        quorum = None if self._quorum in ("", _NO_QUORUM) else self._quorum
        logs = tuple(self._logs.values())
        return Trust(logs, self._witnesses, self._groups, quorum, held, self._urls, self._timestampers)

    def _add(self, keyword: str, first: str, *rest: str) -> None:
        if any(char < " " or char == "\x7f" for word in (first, *rest) for char in word):
            raise InputError("a control character: lines end in a newline alone")
        if keyword == "log" and len(rest) <= 1:
            self._add_log(parse_vkey(first))
        elif keyword == "witness" and 1 <= len(rest) <= 2:
            self._add_witness(first, parse_vkey(rest[0]))
            self._urls.update((first, url) for url in rest[1:])
        elif keyword == "group" and len(rest) >= 2:
            self._add_group(first, rest[0], rest[1:])
        elif keyword == "quorum" and not rest:
            self._set_quorum(first)
        elif keyword == "timestamper" and len(rest) == 1:
            if self._timestampers.setdefault(first, root := parse_base64(rest[0], f"timestamper {first}")) != root:
                raise InputError(f"the timestamper {shown(first)} is there twice: give each root a name of its own")
        else:
            raise InputError(
                "expected log <vkey>, witness <name> <vkey>, group <name> <k>|any|all <member> …, quorum <name>|none, "
                "or timestamper <name> <certificate>"
            )

    def _add_log(self, log: Verifier) -> None:
        if log.signature_type != ED25519:
            raise InputError(f"key {log.name} is for cosigning: give the log's own, of type 0x01")
        if self._logs.setdefault(log.public_key, log) is not log:
            raise InputError(f"key {log.name} is there twice: give each log once")

    def _add_witness(self, name: str, witness: Verifier) -> None:
        if witness.signature_type == ED25519:
            raise InputError(f"witness {shown(name)}: its key is not for cosigning: give one of type 0x04 or 0x06")
        if witness.public_key in {known.public_key for known in self._witnesses.values()}:
            raise InputError(f"witness {shown(name)}: another has the same key, and a key counts once: remove one")
        self._require_free(name)
        self._witnesses[name] = witness

    def _add_group(self, name: str, threshold: str, members: Sequence[str]) -> None:
        self._require_free(name)
        for member in members:
            self._require_defined(member)
            if member in self._members:
                raise InputError(f"group {shown(name)}: {shown(member)} is a member already: each name counts once")
            self._members.add(member)
        size = len(members)
        known = {"any": 1, "all": size} | {str(k): k for k in range(1, size + 1)}
        if threshold not in known:
            raise InputError(f"group {shown(name)}: expected any, all, or 1 to {size}, got {shown(threshold)}")
        self._groups[name] = Group(known[threshold], tuple(members))

    def _set_quorum(self, name: str) -> None:
        if self._quorum:
            raise InputError("a second quorum: keep one")
        if name != _NO_QUORUM:
            self._require_defined(name)
        self._quorum = name

    def _require_free(self, name: str) -> None:
        if name == _NO_QUORUM or name in self._witnesses or name in self._groups:
            raise InputError(f"the name {shown(name)} is taken: give each witness and group its own")

    def _require_defined(self, name: str) -> None:
        if name not in self._witnesses and name not in self._groups:
            raise InputError(f"{shown(name)} is no witness or group of the lines above: define it first")
