"""What the YAML may say of alerts: channels, who is told of what, quiet hours. Secrets are names of variables."""

import re
from collections.abc import Mapping
from datetime import time, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from audit_pipeline.alerts import Quiet, Rules, Severity
from audit_pipeline.channels import (
    AppriseChannel,
    Channel,
    EmailChannel,
    PagerDuty,
    Post,
    Slack,
    SnmpTrap,
    Teams,
    Webhook,
)
from audit_pipeline.channels.http import webhook_secret
from audit_pipeline.channels.pagerduty import EVENTS_V2
from audit_pipeline.channels.snmp import PLAYPEN
from audit_pipeline.errors import PolicyError
from audit_pipeline.policy.refusals import PlacedError

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LOOPBACK = ("http://127.0.0.1:", "http://[::1]:", "http://localhost:")

EnvName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
"""Name of an environment variable that has the secret."""
Word = Literal["warning", "error", "critical"]


class ChannelAttributes(BaseModel):
    """What all channels have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Lower-case name, as routes and fallbacks say it.")
    fallback: str | None = Field(default=None, description="Name of the channel that gets what this one does not take.")

    @field_validator("name")
    @classmethod
    def _name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r}: expected lower-case letters, digits, '_' or '-', a letter first, at most 63")
        return name


class WebhookAttributes(ChannelAttributes):
    kind: Literal["webhook"]
    url_env: EnvName
    secret_env: EnvName = Field(description="The key of the signature: `whsec_` and base64, or any text.")

    def open(self, environ: Mapping[str, str]) -> Channel:
        try:
            secret = webhook_secret(_secret(environ, self.name, self.secret_env))
        except ValueError as err:
            raise PolicyError(f"{self.secret_env}: expected base64 after whsec_; set it again") from err
        return Webhook(_post(environ, self.name, self.url_env), secret)


class SlackAttributes(ChannelAttributes):
    kind: Literal["slack"]
    url_env: EnvName

    def open(self, environ: Mapping[str, str]) -> Channel:
        return Slack(_post(environ, self.name, self.url_env))


class TeamsAttributes(ChannelAttributes):
    kind: Literal["teams"]
    url_env: EnvName

    def open(self, environ: Mapping[str, str]) -> Channel:
        return Teams(_post(environ, self.name, self.url_env))


class PagerDutyAttributes(ChannelAttributes):
    kind: Literal["pagerduty"]
    routing_key_env: EnvName
    url: str = Field(default=EVENTS_V2, description="Of another region.")

    def open(self, environ: Mapping[str, str]) -> Channel:
        check_url(self.name, "url", self.url)
        return PagerDuty(Post(self.name, self.url), _secret(environ, self.name, self.routing_key_env))


class EmailAttributes(ChannelAttributes):
    kind: Literal["email"]
    host: str
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    sender: str
    to: tuple[str, ...] = Field(min_length=1)
    user_env: EnvName | None = None
    password_env: EnvName | None = None

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if (self.user_env is None) != (self.password_env is None):
            raise ValueError("expected user_env and password_env, or neither")
        if self.security == "none" and self.password_env is not None:
            raise ValueError("security: none would send the password as it is; use starttls or tls")
        return self

    def open(self, environ: Mapping[str, str]) -> Channel:
        return EmailChannel(
            self.name,
            self.host,
            self.port,
            self.security,
            self.sender,
            self.to,
            _secret(environ, self.name, self.user_env) if self.user_env else None,
            _secret(environ, self.name, self.password_env) if self.password_env else None,
        )


class SnmpAttributes(ChannelAttributes):
    kind: Literal["snmp"]
    host: str
    port: int = 162
    user: str
    auth_key_env: EnvName = Field(description="Of HMAC-SHA-256, at least 8 characters.")
    privacy_key_env: EnvName = Field(description="Of AES-128, at least 8 characters.")
    engine_id: str = Field(pattern=r"^([0-9a-f]{2}){5,32}$", description="Of this sender, hex.")
    oid: str = Field(default=PLAYPEN, pattern=r"^[0-9]+(\.[0-9]+)+$")
    inform: bool = Field(default=False, description="Whether the receiver confirms.")

    def open(self, environ: Mapping[str, str]) -> Channel:
        auth, privacy = (_secret(environ, self.name, name) for name in (self.auth_key_env, self.privacy_key_env))
        if min(len(auth), len(privacy)) < 8:
            raise PolicyError(f"channel {self.name}: SNMP keys have at least 8 characters; set longer ones")
        return SnmpTrap(
            self.name, self.host, self.port, self.user, auth, privacy, self.engine_id, self.oid, self.inform
        )


class AppriseAttributes(ChannelAttributes):
    kind: Literal["apprise"]
    url_env: EnvName

    def open(self, environ: Mapping[str, str]) -> Channel:
        return AppriseChannel(self.name, _secret(environ, self.name, self.url_env))


AnyChannel = Annotated[
    WebhookAttributes
    | SlackAttributes
    | TeamsAttributes
    | PagerDutyAttributes
    | EmailAttributes
    | SnmpAttributes
    | AppriseAttributes,
    Field(discriminator="kind"),
]


class QuietAttributes(BaseModel):
    """Hours in which notices wait."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: time
    end: time
    timezone: str = "UTC"
    below: Word = Field(default="critical", description="What is at least this severe does not wait.")

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as err:
            raise ValueError(f"{name!r}: is no time zone; write one such as Europe/Berlin") from err
        return name


class EscalateAttributes(BaseModel):
    """Who is told when nobody acknowledges."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after_minutes: int = Field(ge=1)
    to: tuple[str, ...] = Field(min_length=1)


class RoutesAttributes(BaseModel):
    """The channels that each get the notices of a severity."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    critical: tuple[str, ...] = ()
    error: tuple[str, ...] = ()
    warning: tuple[str, ...] = ()


class WatchAttributes(BaseModel):
    """From when on something is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sealed_by_hour: int = Field(default=6, ge=0, le=23, description="UTC hour by which the day before is sealed.")
    silent_hours: int = Field(default=48, ge=1, description="A stream without new bytes for so long is silent.")
    silent_hours_of: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description="The same for single streams."
    )
    full_percent: int = Field(default=90, ge=1, le=99, description="A disk this full is a fault, at 97 a critical one.")
    budget_percent: int = Field(default=80, ge=1, le=100, description="So much of a privacy budget spent is a fault.")
    interval_s: int = Field(default=60, ge=5, description="How often the sensors look.")


class AlertsAttributes(BaseModel):
    """The attributes of the component Alerts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: tuple[AnyChannel, ...] = ()
    routes: RoutesAttributes = RoutesAttributes()
    escalate: EscalateAttributes | None = None
    quiet: QuietAttributes | None = None
    regroup_minutes: int = Field(default=15, ge=0)
    repeat_hours: int = Field(default=4, ge=1)
    settle_minutes: int = Field(default=5, ge=0)
    runbooks: str = Field(default="deploy/runbooks.md", description="Where your team reads the runbooks.")
    watch: WatchAttributes = WatchAttributes()

    @model_validator(mode="after")
    def _channels_are_known(self) -> Self:
        names = [channel.name for channel in self.channels]
        for at, name in enumerate(names):
            if name in names[:at]:
                message = f"the channel {name!r} is declared {names.count(name)} times; keep one"
                raise PlacedError(message, "channels", at, "name")
        used = [name for word in ("critical", "error", "warning") for name in getattr(self.routes, word)]
        used += self.escalate.to if self.escalate else ()
        used += [channel.fallback for channel in self.channels if channel.fallback]
        for name in used:
            if name not in names:
                raise ValueError(f"there is no channel {name!r}; declare it under channels")
        if names and not (self.routes.critical and self.routes.error):
            raise ValueError("routes: name at least one channel each for critical and error")
        if any(channel.fallback == channel.name for channel in self.channels):
            raise ValueError("fallback: a channel cannot be its own; name another")
        return self

    def rules(self) -> Rules:
        escalate, quiet = self.escalate, self.quiet
        return Rules(
            routes={severity: getattr(self.routes, severity.word) for severity in Severity},
            fallbacks={channel.name: channel.fallback for channel in self.channels if channel.fallback},
            regroup=timedelta(minutes=self.regroup_minutes),
            repeat=timedelta(hours=self.repeat_hours),
            settle=timedelta(minutes=self.settle_minutes),
            escalate_after=timedelta(minutes=escalate.after_minutes) if escalate else None,
            escalate_to=escalate.to if escalate else (),
            quiet=Quiet(quiet.start, quiet.end, ZoneInfo(quiet.timezone), Severity.of(quiet.below)) if quiet else None,
        )

    def open_channels(self, environ: Mapping[str, str]) -> dict[str, Channel | PolicyError]:
        """Each channel by name, or why it cannot be used: a secret that is not set must not silence the others."""
        opened: dict[str, Channel | PolicyError] = {}
        for channel in self.channels:
            try:
                opened[channel.name] = channel.open(environ)
            except PolicyError as err:
                opened[channel.name] = err
        return opened


def check_url(channel: str, what: str, url: str) -> None:
    """Check that a secret is not sent in the clear, nor a file opened.

    Raises:
        PolicyError: it is neither https nor on this machine.
    """
    if not url.startswith(("https://", *_LOOPBACK)):
        raise PolicyError(f"channel {channel}: {what}: expected an https:// address; set it again")


def _secret(environ: Mapping[str, str], channel: str, name: str) -> str:
    if not (value := environ.get(name)):
        raise PolicyError(f"channel {channel}: the environment variable {name} is not set; set it where Dagster runs")
    return value


def _post(environ: Mapping[str, str], channel: str, name: str) -> Post:
    url = _secret(environ, channel, name)
    check_url(channel, name, url)
    return Post(channel, url)
