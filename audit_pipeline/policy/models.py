"""What the YAML of a policy may say: the models that the loader and the Dagster components share."""

import re
from datetime import date
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from audit_pipeline.attest import check_witnesses
from audit_pipeline.errors import PolicyError
from audit_pipeline.lake.clients import is_loopback
from audit_pipeline.lake.places import Access
from audit_pipeline.policy.refusals import PlacedError
from audit_pipeline.records import canonical
from audit_pipeline.report.catalogue import Control
from audit_pipeline.signers import KEY_SCHEMES
from audit_pipeline.sources.landing import Stream

MAPPED = "mapped_csv"
_OUTCOMES = frozenset(["a", "b", "tie", "both_bad"])
_STREAM_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,62}")  # docs/evidence-format.md section 3


def parse_start(value: object) -> date:
    """The first day that is audited, from its text. Pydantic alone would read a bare number as seconds since 1970."""
    try:
        return date.fromisoformat(str(value))
    except ValueError as err:
        raise ValueError(f"{value!r}: expected a date such as 2026-01-01") from err


Day = Annotated[date, BeforeValidator(parse_start)]
Start = Day


class ColumnsAttributes(BaseModel):
    """What the columns of a table of judgements mean: each value is the name of a column as its header has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    item_id: str | None = Field(default=None, description="What was judged (default: the row's number).")
    annotator_id: str | None = Field(default=None, description="Who judged.")
    annotators: list[str] = Field(default_factory=list, description="Columns that are a judge each.")
    question: str | None = Field(default=None, description="The question that was asked.")
    prompt: str | None = Field(default=None, description="The prompt.")
    response_a: str | None = Field(default=None, description="The first response, or the only one.")
    response_b: str | None = Field(default=None, description="The second response.")
    model_a: str | None = Field(default=None, description="Who wrote the first response.")
    model_b: str | None = Field(default=None, description="Who wrote the second response.")
    outcome: str | None = Field(default=None, description="Which response won.")
    outcomes: dict[str, str] = Field(
        default_factory=dict, description="What the texts of the outcome mean: a, b, tie or both_bad."
    )
    value: str | None = Field(default=None, description="The answer, a number or a text.")
    strength: str | None = Field(default=None, description="Strength of a preference.")
    lead_time_s: str | None = Field(default=None, description="Seconds that the judge took.")
    created_at: str | None = Field(default=None, description="When it was judged.")

    @field_validator("outcomes", mode="before")
    @classmethod
    def _texts(cls, outcomes: object) -> object:
        """A CSV has texts alone; YAML reads a bare 1 as a number."""
        is_plain = isinstance(outcomes, dict)
        return {str(k) if type(k) is int else k: v for k, v in outcomes.items()} if is_plain else outcomes  # type: ignore[attr-defined]

    @model_validator(mode="after")
    def _has_answer(self) -> Self:
        if sum(map(bool, (self.outcome, self.value, self.annotators))) != 1:
            raise ValueError("columns: expected exactly one of outcome, value or annotators: where the answers are")
        if self.annotators and self.annotator_id:
            raise ValueError("columns: expected annotator_id or annotators, not both")
        if (self.outcome or self.response_b) and not self.outcomes:
            raise ValueError("columns: expected outcomes, such as {left: a, right: b, tie: tie}")
        if unknown := sorted(set(self.outcomes.values()) - _OUTCOMES):
            raise ValueError(f"columns: outcomes: {unknown[0]!r}: expected one of {', '.join(sorted(_OUTCOMES))}")
        return self


class StreamAttributes(BaseModel):
    """One stream as the YAML says it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Lower-case name, part of every source's identity: never rename a stream.")
    path: str = Field(description="Glob inside the landing zone; {date} stands for YYYY-MM-DD.")
    format: str | None = Field(default=None, description="Name of a format, when detection must be overridden.")
    columns: ColumnsAttributes | None = Field(default=None, description="What columns mean; for format mapped_csv.")

    @field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        if not _STREAM_NAME.fullmatch(name):
            raise ValueError(f"{name!r}: expected lower-case letters, digits, '_' or '-', a letter first, at most 63")
        if name.startswith("_"):
            raise ValueError(f"{name!r}: names that start with '_' are reserved; choose another")
        return name

    @field_validator("path")
    @classmethod
    def _path(cls, path: str) -> str:
        plain = path.replace("{date}", "", 1)
        if "{" in plain or "}" in plain:
            raise ValueError(f"{path!r}: expected '{{date}}' at most once and no other braces")
        if "[" in path or "]" in path:
            raise ValueError(f"{path!r}: '[' and ']' have no meaning here; use * or ?, or declare several streams")
        if "\\" in path or "\0" in path or {"..", ".", ""} & set(path.split("/")):
            raise ValueError(
                f"{path!r}: expected a path relative to the landing zone, with '/' and without '.' or '..'"
            )
        return path

    @field_validator("format")
    @classmethod
    def _format(cls, format: str | None) -> str | None:
        from audit_pipeline.formats.adapters import adapter_named  # loads Arrow: only where a format is named

        try:
            return None if format is None else adapter_named(format).name
        except PolicyError as err:
            raise ValueError(str(err)) from err

    @model_validator(mode="after")
    def _mapped(self) -> Self:
        if (self.columns is None) == (self.format == MAPPED):
            raise ValueError(
                f"stream {self.name!r}: `columns` and `format: {MAPPED}` go together; give both or neither"
            )
        return self

    def stream(self) -> Stream:
        said = self.columns.model_dump(exclude_defaults=True) if self.columns else None
        mapping = canonical.dump_canonical(said).decode() if said else None
        return Stream(self.name, self.path, self.format, mapping)


class RunLogsAttributes(BaseModel):
    """The attributes of the component RunLogs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Start
    streams: tuple[StreamAttributes, ...] = Field(min_length=1)

    @field_validator("streams")
    @classmethod
    def _unique(cls, streams: tuple[StreamAttributes, ...]) -> tuple[StreamAttributes, ...]:
        names = [stream.name for stream in streams]
        for at, name in enumerate(names):
            if name in names[:at]:
                raise PlacedError(f"the stream {name!r} is declared {names.count(name)} times; keep one", at, "name")
        return streams


class DailySealAttributes(BaseModel):
    """The attributes of the component DailySeal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Start


class StoreAttributes(BaseModel):
    """How the buckets are reached whose URIs begin so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str = Field(description="The beginning of the places' URIs; of several that fit, the longest counts.")
    identity: str | None = Field(default=None, description="An AWS profile, a GCP service account, an Azure client id.")
    region: str | None = Field(default=None, description="Of AWS (default: the chain's).")
    endpoint: str | None = Field(default=None, description="Where the service answers, if not at the cloud's address.")
    account: str | None = Field(default=None, description="The storage account, of az:// URIs.")
    encryption_key: str | None = Field(default=None, description="The store's key for what is kept there.")
    locked: bool = Field(default=False, description="Whether objects must be under a retention lock.")

    @field_validator("endpoint")
    @classmethod
    def _encrypted(cls, endpoint: str | None) -> str | None:
        if endpoint is None or endpoint.startswith("https://") or is_loopback(endpoint):
            return endpoint
        raise ValueError(f"{endpoint!r}: expected https://, or a server on this machine")

    def access(self) -> Access:
        return Access(
            identity=self.identity,
            region=self.region,
            endpoint=self.endpoint,
            account=self.account,
            encryption_key=self.encryption_key,
            is_locked=self.locked,
        )


class ComplianceReportAttributes(BaseModel):
    """The attributes of the component ComplianceReport."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Start
    title: str = "RLHF records"
    registers: str = "registers"
    controls: tuple[Control, ...] = ()
    thresholds: dict[str, dict[str, float]] = Field(default_factory=dict)


class DeltaTableAttributes(BaseModel):
    """A Delta table of another project, as the component ExpectationSuites judges it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    delta: str = Field(description="Folder or URI of the Delta table; a relative path is the project's.")
    reference: str = Field(description="Column that names a row: samples of failing rows are its values.")
    asset: str | None = Field(default=None, description="Key of the asset, with '/' (default: the table's name here).")
    partition_column: str | None = Field(
        default=None, description="Column with the partition's key (default: the whole table is judged)."
    )


class ExpectationSuitesAttributes(BaseModel):
    """The attributes of the component ExpectationSuites."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    suites: str = "expectations"
    start: Start | None = None
    tables: dict[str, DeltaTableAttributes] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.start is None) == (self.tables is None):
            raise ValueError("expected either start (this lake's event tables are judged) or tables (others are)")
        return self


class PlacesAttributes(BaseModel):
    """A profile's file: a path or URI for each place, how those in buckets are reached, and who signs and vouches."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    landing: str
    lake: str
    evidence: str
    log: str
    keys: str
    marks: str
    reports: str
    dagster: str
    released: str | None = None
    cache: str | None = None
    stores: tuple[StoreAttributes, ...] = ()
    signing_keys: tuple[str, ...] = ()
    witnesses: str = ""
    timestamps: str | None = None

    @field_validator("signing_keys")
    @classmethod
    def _uris(cls, uris: tuple[str, ...]) -> tuple[str, ...]:
        for uri in uris:
            if not uri.startswith(KEY_SCHEMES):
                raise ValueError(f"{uri!r}: expected one of {' '.join(KEY_SCHEMES)} and where the key is")
        return uris

    @field_validator("witnesses")
    @classmethod
    def _tlog_policy(cls, lines: str) -> str:
        check_witnesses(lines)
        return lines
