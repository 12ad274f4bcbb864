"""The command doctor: a deployment checked line by line."""

import click

from audit_pipeline.cli.here import passphrase, policy_here, utc_now


@click.command()
def doctor() -> None:
    """Check what a deployment needs, a line each: policy, places, keys, clock, instance, daemon, channels."""
    import os

    from audit_pipeline.doctor import examine

    failed = 0
    for line in examine(policy_here(), os.environ, passphrase(), utc_now()):
        failed += line.is_wrong
        click.echo(f"{'WRONG' if line.is_wrong else 'ok   '}  {line.what}: {line.said}")
    if failed:
        click.echo(f"audit-pipeline: {failed} lines are wrong", err=True)
        click.get_current_context().exit(1)
