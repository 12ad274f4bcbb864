"""Where one profile keeps its things, and how a bucket among them is reached. No place holds a secret."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Access:
    """How a bucket is reached. Credentials come from the cloud's own chain, which the process's environment leads."""

    identity: str | None = None
    """Who asks, where the chain would give another: an AWS profile, a GCP service account, an Azure client id."""
    region: str | None = None
    endpoint: str | None = None
    """Where the service answers, if not at the cloud's own address."""
    account: str | None = None
    """Of Azure."""
    encryption_key: str | None = None
    """The store's key for what is kept: an ARN or id of KMS, a CMEK's name, an encryption scope."""
    is_locked: bool = False
    """Whether objects are to be under a retention lock, so that nobody can remove or replace them for a time."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket (on Azure: a container), or what its names have below a prefix."""

    uri: str
    """Such as `s3://bucket/prefix`; without a slash at its end."""
    access: Access = field(default_factory=Access)
    place: str = ""
    """The place of the profile that this lies in; empty where it is one itself."""
    copies: str = ""
    """The folder of this machine with copies of small objects that stay as they are; empty where none are kept."""

    def __truediv__(self, name: object) -> "Bucket":
        if str(name) in ("", "."):
            return self
        return replace(self, uri=f"{self.uri}/{name}", place=self.place or self.uri)

    def __str__(self) -> str:
        return self.uri


Place = Path | Bucket
"""A local folder or a bucket, or something in one: `/` goes down, and its text is what errors call it."""


RELEASED = "released"
"""The one area of tables that may lie in a place of its own."""

_COPIED = ("lake", "evidence", "log", "marks", "released")


@dataclass(frozen=True, slots=True)
class Places:
    """The places of a profile. `keys` and `marks` lie outside the lake: who can write the lake must not write them."""

    landing: Place
    lake: Place
    evidence: Place
    log: Place
    keys: Path
    marks: Place
    reports: Place
    dagster: Path
    released: Place | None = None
    """Where released tables lie, for readers who may see nothing else; below the lake where it is not given."""
    cache: Path | None = None
    """Where runs keep copies of what they read from buckets again and again."""
    signing_keys: tuple[str, ...] = ()
    """URIs of the log's keys; none where they are files in `keys`."""

    def area(self, name: str) -> Place:
        """Where the tables of an area lie: `restricted`, `audit` or `released`."""
        return self.released if name == RELEASED and self.released is not None else self.lake / name

    @property
    def own(self) -> tuple[Place, ...]:
        """Where the pipeline writes: nothing there is a landed file."""
        others = ("landing", "signing_keys")
        return tuple(p for name in fields(self) if name.name not in others and (p := getattr(self, name.name)))

    def with_copies(self, lake_id: str) -> "Places":
        """The same places, of whose buckets copies are kept for one lake, where the profile says that some are."""
        if self.cache is None:
            return self
        copies = {name: str(self.cache / lake_id / name) for name in _COPIED}
        return self._with(copies)

    def without_copies(self) -> "Places":
        """The same places, everything in which is asked of the stores themselves."""
        return replace(self._with(dict.fromkeys(_COPIED, "")), cache=None)

    def _with(self, copies: Mapping[str, str]) -> "Places":
        places = {name: (getattr(self, name), folder) for name, folder in copies.items()}
        changed = {
            name: replace(place, copies=folder) for name, (place, folder) in places.items() if isinstance(place, Bucket)
        }
        return replace(self, **changed)  # type: ignore[arg-type]


def lies_in(inner: Place, outer: Place) -> bool:
    """Whether a place is another one, or below it."""
    if isinstance(inner, Path) and isinstance(outer, Path):
        return inner.is_relative_to(outer)
    return f"{inner}/".startswith(f"{outer}/")


def to_plain(places: Places) -> dict[str, Any]:
    """Places as JSON has them, for another process that has the same environment."""
    given = {name.name: getattr(places, name.name) for name in fields(places)}
    keys = given.pop("signing_keys")
    plain = {
        name: asdict(place) if isinstance(place, Bucket) else place and str(place) for name, place in given.items()
    }
    return {**plain, "signing_keys": keys}


def from_plain(said: Mapping[str, Any]) -> Places:
    """What `to_plain` was given."""

    def place(of: Any) -> Place | None:
        if of is None:
            return None
        return Path(of) if isinstance(of, str) else Bucket(**{**of, "access": Access(**of["access"])})

    places = {name: place(of) for name, of in said.items() if name != "signing_keys"}
    return Places(**places, signing_keys=tuple(said["signing_keys"]))  # type: ignore[arg-type]
