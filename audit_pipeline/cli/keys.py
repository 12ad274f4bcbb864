"""Commands about the life of a log: key rotate, freeze, first-mark."""

import os

import click

from audit_pipeline.cli.here import lake_here, passphrase, policy_here, utc_now

AFTER_ROTATING = """\
new vkey: {vkey}
Both keys sign from now on. Give the new vkey, or {handover}, to those who verify; a trust file that names the old key
leads to the new one by itself. When nobody depends on the old key any more, {retire}; docs/keys.md says more.\
"""
AFTER_FREEZING = """\
The log {origin} ends with an entry of {time}, signed in {checkpoint}. Runs on this home are refused from now on, and
`audit-pipeline verify` works as before. docs/recovery.md, `A log that was frozen`, says how to go on with a new one.\
"""


@click.group()
def key() -> None:
    """The keys that sign the log."""


@key.command()
def rotate() -> None:
    """Hand the log over to a new key. Sealed in the log; both keys sign until the old one is taken away."""
    from audit_pipeline.inventory import take_inventory
    from audit_pipeline.lake.logbook import handover_name, read_handovers
    from audit_pipeline.rotation import rotate_key

    policy, lake = policy_here(), lake_here()
    turn = rotate_key(
        lake,
        policy_digest=policy.digest,
        passphrase=passphrase(),
        now=utc_now,
        entropy=os.urandom,
        attesters=policy.attesters,
    )
    take_inventory(lake, passphrase=passphrase())
    assert turn.handover is not None
    handover = lake.log.path(handover_name(len(read_handovers(lake))))
    retire = "take it out of `signing_keys` of the profile"
    if not lake.places.signing_keys:
        retire = f"take its file out of {lake.places.keys} and keep a copy"
    click.echo(AFTER_ROTATING.format(vkey=turn.handover[1], handover=handover, retire=retire))


@click.command()
def first_mark() -> None:
    """Write a mark of what is there, where all marks are lost. First hold the log to a checkpoint of somebody else."""
    from audit_pipeline.errors import ProofError
    from audit_pipeline.publishing import put_first_mark
    from audit_pipeline.verify.apart import verify_apart

    lake = lake_here()
    if found := verify_apart(lake).problems:
        raise ProofError(f"{found[0].message}; mend what `audit-pipeline verify` finds first: a mark vouches for it")
    mark = put_first_mark(lake)
    click.echo(f"{lake.marks.path('1')}: {mark.size} entries, root {mark.root}, ledger {mark.ledger or '-'}")


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask; this cannot be undone.")
def freeze(yes: bool) -> None:
    """End the log for good, as when somebody else has its key. Nothing is sealed into it any more."""
    from audit_pipeline.inventory import take_inventory
    from audit_pipeline.rotation import freeze_log

    policy, lake = policy_here(), lake_here()
    if not yes:
        click.confirm(f"End the log {lake.origin}? This cannot be undone", abort=True)
    turn = freeze_log(
        lake,
        policy_digest=policy.digest,
        passphrase=passphrase(),
        now=utc_now,
        entropy=os.urandom,
        attesters=policy.attesters,
    )
    take_inventory(lake, passphrase=passphrase())
    where = lake.log.path("checkpoint")
    click.echo(AFTER_FREEZING.format(origin=lake.origin, time=turn.time.isoformat(), checkpoint=where))
