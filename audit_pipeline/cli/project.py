"""Commands that make or change a project: init, add-stream, keygen."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit_pipeline.cli.here import passphrase, policy_here

if TYPE_CHECKING:
    from audit_pipeline.lake.places import Places

DEFAULT_PREFIX = "rlhf-audit.local"  # only a name: nothing is looked up; the lake id behind it makes the origin unique
ORIGIN_PREFIX = click.option(
    "--origin-prefix",
    metavar="P",
    default=DEFAULT_PREFIX,
    show_default=True,
    help="First part of the log's public name, such as example.com/audit.",
)
ABOUT_THE_KEY = """\
Keep copies of all files in {keys} in a safe place, away from the lake.
- If the key or its passphrase is lost, this log can take no further day. What is sealed can still be verified, with the
  vkey; new days need a new home with a new key and another origin.
- Whoever has the signing key can sign a forged log. The vkey is public: give it to those who will verify.
- pseudonym.pem and bounding.pem give people their names in the event tables. Without them no further events are made;
  whoever has them can tell whether a name they guess is somebody's.\
"""


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@ORIGIN_PREFIX
def init(directory: Path, origin_prefix: str) -> None:
    """Make a project in DIR: the policy, a workspace.yaml, and the keys."""
    from audit_pipeline.lake.keys import KEY_FILE, check_prefix, keys_exist
    from audit_pipeline.policy import init_project, load_policy

    check_prefix(origin_prefix)
    init_project(directory)
    click.echo(f"Policy: {directory}/assets, {directory}/resources, {directory}/expectations")
    policy = load_policy(directory.absolute(), os.environ)
    if keys_exist(policy.places.keys):
        click.echo(f"Key: {policy.places.keys / KEY_FILE} was there before, and stays")
    else:
        _make_keys(policy.places, origin_prefix)
    if isinstance(policy.places.landing, Path):
        policy.places.landing.mkdir(parents=True, exist_ok=True)
    click.echo(
        f"Next: put logs under {policy.places.landing}/runs/<YYYY-MM-DD>/, then `cd {directory}; audit-pipeline run`"
    )


@click.command("add-stream")
@click.argument("name")
@click.argument("path")
def add_stream(name: str, path: str) -> None:
    """Declare the stream NAME, whose logs land at PATH: a glob inside the landing zone, with {date} for the day."""
    from audit_pipeline import policy

    file = policy.add_stream(policy_here().root, name, path)
    click.echo(f"{file}: stream {name} at {path}")


@click.command()
@ORIGIN_PREFIX
def keygen(origin_prefix: str) -> None:
    """Make the keys, once for a home; of an older home, those that are missing. AUDIT_KEY_PASSPHRASE encrypts them."""
    _make_keys(policy_here().places, origin_prefix)


def _make_keys(places: "Places", prefix: str) -> None:
    from audit_pipeline.errors import InputError
    from audit_pipeline.lake.keys import VKEY_FILE, adopt_key, make_keys
    from audit_pipeline.lake.stores import open_store
    from audit_pipeline.signers import load_signer

    secret = passphrase()
    if not (places.keys / VKEY_FILE).exists() and open_store(places.log).exists("vkey"):
        raise InputError(
            f"{places.keys}: the key of the log in {places.log} is not here; restore this folder from your backup, for "
            "with another key nothing can be added to that log"
        )
    if not places.signing_keys:
        vkey = make_keys(places.keys, prefix, os.urandom, secret)
        where = f"{places.keys}/key.pem ({'with a' if secret else 'no'} passphrase)"
    elif len(places.signing_keys) == 1:
        (where,) = places.signing_keys
        vkey = adopt_key(places.keys, prefix, lambda name: load_signer(where, name, secret), os.urandom, secret)
    else:
        raise InputError("signing_keys of the profile: a log begins with one key; name the others when you rotate")
    click.echo(f"Key: {where}")
    click.echo(f"vkey: {vkey}")
    click.echo(ABOUT_THE_KEY.format(keys=places.keys))
