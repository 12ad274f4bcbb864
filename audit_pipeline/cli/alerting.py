"""Commands about alerts: list, ack, test."""

import getpass
import os

import click

from audit_pipeline.cli.here import lake_here, policy_here, utc_now
from audit_pipeline.cli.printing import as_text, print_json, print_table
from audit_pipeline.errors import AuditError, InputError


@click.group()
def alerts() -> None:
    """What is wrong, who knows of it, and whether the channels work."""


@alerts.command("list")
@click.option("--all", "with_closed", is_flag=True, help="Those of the last 30 days that are over, too.")
@click.option("--json", "as_json", is_flag=True, help="For programs: a line of JSON an alert.")
def list_alerts(with_closed: bool, as_json: bool) -> None:
    """Open alerts: name, severity, what, since when, who acknowledged."""
    from audit_pipeline.alert_rows import read_alerts

    rows = [
        {
            "alert": alert.name,
            "severity": alert.severity.word,
            "kind": alert.kind,
            "subject": alert.subject,
            "items": list(alert.items),
            "raised_at": alert.raised_at,
            "acknowledged_by": alert.acknowledged_by,
            "resolved_at": alert.resolved_at,
        }
        for alert in read_alerts(lake_here(), utc_now()).alerts.values()
        if with_closed or alert.is_open
    ]
    if as_json:
        for row in rows:
            print_json(row)
        return
    if not rows:
        click.echo("no alert is open; what looks for faults are the sensors, where Dagster's daemon runs")
        return
    columns = ("alert", "severity", "kind", "subject", "items", "raised_at", "acknowledged_by", "resolved_at")
    print_table(columns, [tuple({**row, "items": _items(row["items"])}.values()) for row in rows])


def _items(items: object) -> str:
    names = list(items) if isinstance(items, list) else []
    return " ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


@alerts.command()
@click.argument("name")
@click.option("--by", "person", help="Who acknowledges (default: the user that runs this).")
def ack(name: str, person: str | None) -> None:
    """Acknowledge the alert NAME (its first letters do): no more repetitions, no escalation. Events are closed."""
    from audit_pipeline.alert_rows import append_alerts
    from audit_pipeline.alerts import acknowledge
    from audit_pipeline.ingest import system_entropy

    now, who = utc_now(), person or getpass.getuser()
    rows = append_alerts(lake_here(), lambda book: acknowledge(book, name, who, now), now=now, entropy=system_entropy)
    click.echo(f"{rows[0].alert}: acknowledged by {who}" if rows else f"{name}: was acknowledged before")


@alerts.command()
def test() -> None:
    """Send one message through each channel, and say which took it."""
    from audit_pipeline.alerting import make_test
    from audit_pipeline.errors import PolicyError

    policy, lake, failed = policy_here(), lake_here(), 0
    channels = policy.alerts.open_channels(os.environ)
    if not channels:
        raise InputError(f"{policy.root / 'assets'}: no channel is declared; see assets/alerts/defs.yaml")
    for name, channel in channels.items():
        try:
            if isinstance(channel, PolicyError):
                raise channel
            channel.send(make_test(lake.origin, utc_now()))
            click.echo(f"{name}: sent")
        except AuditError as err:
            failed += 1
            click.echo(f"{name}: FAILED", err=True)
            click.echo(f"  {as_text(str(err))}", err=True)
    if failed:
        click.get_current_context().exit(1)
