"""Finding and reading a policy folder."""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import permutations
from pathlib import Path

from audit_pipeline.attest import Attesters
from audit_pipeline.errors import InputError, PolicyError
from audit_pipeline.lake.clients import parse_uri
from audit_pipeline.lake.places import Access, Bucket, Place, Places, lies_in
from audit_pipeline.policy.alerting import AlertsAttributes
from audit_pipeline.policy.components import (
    ALERTS_TYPE,
    DAILY_SEAL_TYPE,
    EXPECTATION_SUITES_TYPE,
    PRIVACY_TYPE,
    REPORT_TYPE,
    find_components,
    load_run_logs,
    only_component,
)
from audit_pipeline.policy.documents import Document, read_documents, read_text, unreadable
from audit_pipeline.policy.models import (
    ComplianceReportAttributes,
    DailySealAttributes,
    ExpectationSuitesAttributes,
    PlacesAttributes,
    StoreAttributes,
)
from audit_pipeline.policy.privacy import PrivacySummariesAttributes
from audit_pipeline.privacy.release import Plan
from audit_pipeline.report.catalogue import extend, load_catalogue
from audit_pipeline.sources.landing import Stream

DIGESTED_FOLDERS = ("assets", "expectations", "resources")
FOLDERS = ("keys", "dagster", "cache")
"""Places that are folders of this machine in every profile."""
LOCAL = "local"
"""The profile of one person's own machine, which may do without a passphrase."""
_PROFILE_NAME = re.compile(r"[a-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy folder as read under one profile."""

    root: Path
    start: date
    streams: tuple[Stream, ...]
    digest: str
    """Hex, as docs/evidence-format.md section 5 says."""
    profile: str
    places: Places
    attesters: Attesters
    alerts: AlertsAttributes
    summaries: Plan | None = None
    """What is published about annotators' work, where anything is."""


def find_policy(environ: Mapping[str, str], start: Path) -> Path:
    """The policy folder: AUDIT_POLICY, else the nearest of `start` and its parents with `assets/` and `workspace.yaml`.

    Raises:
        InputError: there is none.
    """
    if named := environ.get("AUDIT_POLICY"):
        root = Path(named).absolute()
        if not (root / "assets").is_dir():
            raise InputError(
                f"AUDIT_POLICY={named}: expected a folder with assets/; `audit-pipeline init DIR` makes one"
            )
        return root
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / "assets").is_dir() and (folder / "workspace.yaml").is_file():
            return folder
    raise InputError(
        f"{start}: no policy folder here or above; `audit-pipeline init DIR` makes one, AUDIT_POLICY names one"
    )


def load_policy(root: Path, environ: Mapping[str, str]) -> Policy:
    """The policy in `root`, under the profile and home that `environ` names.

    Raises:
        PolicyError: a file of the policy is wrong; the message names the file and line.
    """
    run_logs = load_run_logs(root)
    if (seal := only_component(root, DAILY_SEAL_TYPE, DailySealAttributes)) and seal.start != run_logs.start:
        raise PolicyError(
            f"{root / 'assets'}: DailySeal starts {seal.start}, RunLogs {run_logs.start}; give both the same start"
        )
    if (report := only_component(root, REPORT_TYPE, ComplianceReportAttributes)) and report.start != run_logs.start:
        raise PolicyError(
            f"{root / 'assets'}: ComplianceReport starts {report.start}, RunLogs {run_logs.start}; give both the same"
        )
    if report:
        extend(load_catalogue(), report.controls, report.thresholds)
    privacy = only_component(root, PRIVACY_TYPE, PrivacySummariesAttributes)
    if privacy and privacy.start != run_logs.start:
        raise PolicyError(
            f"{root / 'assets'}: PrivacySummaries starts {privacy.start}, RunLogs {run_logs.start}; give both the same"
        )
    for suites in find_components(root, EXPECTATION_SUITES_TYPE):
        if (start := suites.parse(ExpectationSuitesAttributes).start) not in (None, run_logs.start):
            raise PolicyError(
                f"{suites.file}:{suites.child('start').line}: ExpectationSuites starts {start}, RunLogs "
                f"{run_logs.start}; give both the same start"
            )
    profile = environ.get("AUDIT_PROFILE") or LOCAL
    home = Path(environ.get("AUDIT_HOME") or root / "audit-home").absolute()
    places, attesters = _load_profile(root, profile, home)
    return Policy(
        root=root,
        start=run_logs.start,
        streams=tuple(stream.stream() for stream in run_logs.streams),
        digest=policy_digest(root),
        profile=profile,
        places=places,
        attesters=attesters,
        alerts=only_component(root, ALERTS_TYPE, AlertsAttributes) or AlertsAttributes(),
        summaries=privacy.plan() if privacy else None,
    )


def policy_digest(root: Path) -> str:
    """Digest of every file of the policy (hex), as docs/evidence-format.md section 5 says."""
    paths = sorted(
        p.relative_to(root).as_posix() for f in DIGESTED_FOLDERS for p in (root / f).rglob("*") if p.is_file()
    )
    try:
        lines = [f"{hashlib.sha256((root / path).read_bytes()).hexdigest()} {path}\n" for path in paths]
    except OSError as err:
        raise unreadable(Path(err.filename or root), err) from err
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _load_profile(root: Path, profile: str, home: Path) -> tuple[Places, Attesters]:
    if not _PROFILE_NAME.fullmatch(profile):
        raise PolicyError(f"AUDIT_PROFILE={profile!r}: expected lower-case letters, digits, '_' or '-'")
    file = root / "resources" / f"{profile}.yaml"
    if not os.path.lexists(file):
        there = sorted(path.stem for path in file.parent.glob("*.yaml") if _PROFILE_NAME.fullmatch(path.stem))
        cure = f"AUDIT_PROFILE may be {', '.join(there)}" if there else "`audit-pipeline init DIR` shows some"
        raise PolicyError(f"{file}: there is no such profile; {cure}")
    documents = read_documents(file, read_text(file))
    if len(documents) != 1:
        raise PolicyError(f"{file}: expected one YAML document, got {len(documents)}")
    said = documents[0].parse(PlacesAttributes)
    texts = said.model_dump(exclude={"stores", "signing_keys", "witnesses", "timestamps"}, exclude_none=True)
    found: dict[str, Place] = {}
    for name, text in texts.items():
        line = f"{file}:{documents[0].child(name).line}: {name}"
        found[name] = _place(line, root, home, text, said.stores)
        if name in FOLDERS and isinstance(found[name], Bucket):
            raise PolicyError(f"{line}: must be a folder of this machine")
    keys = tuple(_key(root, home, uri) for uri in said.signing_keys)
    _check_apart(documents[0], found, keys, profile)
    places = Places(**found, signing_keys=keys)  # type: ignore[arg-type]
    return places, Attesters(said.witnesses, said.timestamps)


def _check_apart(document: Document, found: Mapping[str, Place], keys: Sequence[str], profile: str) -> None:
    """Check that no place lies in another, and that who can write the lake can write neither keys nor marks.

    On one machine marks may lie with the keys. Elsewhere they have credentials of their own, so a place of their own.
    """
    for outer, inner in permutations(found, 2):
        is_allowed = (outer, inner) == ("keys", "marks") and profile == LOCAL
        if lies_in(found[inner], found[outer]) and not is_allowed:
            raise PolicyError(
                f"{document.file}:{document.child(inner).line}: {inner} lies inside {outer}; only marks may lie in "
                f"keys, and only in the profile {LOCAL}; give it a folder of its own"
            )
    for number, uri in enumerate(keys):
        inside = [name for name in found if name != "keys" and uri.startswith("file:") and _has(found[name], uri)]
        if inside:
            line = document.child("signing_keys", number).line
            raise PolicyError(f"{document.file}:{line}: a signing key lies inside {inside[0]}; keep it in keys")
    marks, others = found["marks"], [found[name] for name in ("lake", "evidence", "log")]
    if isinstance(marks, Bucket) and any(_same_writer(marks, other) for other in others):
        raise PolicyError(
            f"{document.file}:{document.child('marks').line}: marks lie in a bucket of the lake's, under the same "
            "identity: who can rewrite the one could rewrite the other; give marks a bucket of their own"
        )


def _has(place: Place, uri: str) -> bool:
    return lies_in(Path(uri.removeprefix("file:")), place)


def _key(root: Path, home: Path, uri: str) -> str:
    """A key's URI with its path in full."""
    return f"file:{_path(root, home, uri)}" if uri.startswith("file:") else uri


def _same_writer(one: Bucket, other: Place) -> bool:
    if not isinstance(other, Bucket):
        return False
    return parse_uri(one.uri)[:2] == parse_uri(other.uri)[:2] and one.access.identity == other.access.identity


def _place(line: str, root: Path, home: Path, text: str, stores: Sequence[StoreAttributes]) -> Place:
    """The place that a path or URI of the profile names."""
    if "://" not in text:
        return _path(root, home, text)
    try:
        parse_uri(text)
    except InputError as err:
        raise PolicyError(f"{line}: {err}, or a path") from err
    uri = text.rstrip("/")
    fitting = [store for store in stores if lies_in(Bucket(uri), Bucket(store.uri.rstrip("/")))]
    store = max(fitting, key=lambda store: len(store.uri), default=None)
    return Bucket(uri, store.access() if store else Access())


def _path(root: Path, home: Path, text: str) -> Path:
    return Path(os.path.abspath(root / text.removeprefix("file:").replace("{home}", str(home))))


def profile_passphrase(environ: Mapping[str, str]) -> bytes | None:
    """What opens the keys of the profile that `environ` names.

    Raises:
        InputError: there is none, in a profile that is not for one person's own machine.
    """
    passphrase = environ.get("AUDIT_KEY_PASSPHRASE", "").encode() or None
    profile = environ.get("AUDIT_PROFILE") or LOCAL
    if passphrase is None and profile != LOCAL:
        raise InputError(f"AUDIT_KEY_PASSPHRASE is not set: in the profile {profile} keys must have a passphrase")
    return passphrase
