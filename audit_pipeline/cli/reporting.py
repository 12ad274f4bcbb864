"""The command that makes reports."""

from datetime import datetime

import click

from audit_pipeline.cli.here import DAY, lake_here, passphrase, policy_here, utc_now
from audit_pipeline.cli.printing import print_json, print_table, waiting


@click.command()
@click.option("--from", "first", type=DAY, metavar="D", required=True, help="First day of the period.")
@click.option("--to", "last", type=DAY, metavar="D", help="Its last day (default: the first).")
@click.option(
    "--format",
    "formats",
    metavar="F,…",
    default="html,json,oscal,card",
    show_default=True,
    help="Of html, json, oscal, card, pdf.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def report(first: datetime, last: datetime | None, formats: str, as_json: bool) -> None:
    """Verify a period, judge its controls, and write the compliance report with its bundle.

    Exit code 1 where a control fails, or where the evidence does not hold and the notice of that is written instead,
    or where a blocking data-quality check of the period failed, unwaived: then there is no report.
    """
    from audit_pipeline.ingest import system_entropy
    from audit_pipeline.report.facts import FAIL, Period
    from audit_pipeline.reporting.making import HELD_CURE, held_back, make_report
    from audit_pipeline.reporting.period import judge_verified, report_policy
    from audit_pipeline.reporting.recorded import record_findings
    from audit_pipeline.signers import signer_in_force

    period = Period(first.date(), (last or first).date())
    if period.first > period.last:
        raise click.UsageError("--from is after --to")
    wanted = formats.split(",")
    policy, lake = policy_here(), lake_here()
    signer = signer_in_force(lake, passphrase())
    with waiting("verifying and judging"):
        facts = judge_verified(lake, period, report_policy(policy.root), now=utc_now, entropy=system_entropy)
        today = utc_now().date()
        record_findings(lake, facts, today, now=utc_now, entropy=system_entropy)
        if held := held_back(lake, facts):
            for line in held:
                click.echo(f"audit-pipeline: {line}", err=True)
            click.echo(f"audit-pipeline: no report of {period.first} to {period.last}: {HELD_CURE}", err=True)
            click.get_current_context().exit(1)
        made = make_report(lake, facts, wanted, signer, today, now=utc_now, entropy=system_entropy)
    folder = lake.places.reports / made.report_id
    if as_json:
        print_json({"folder": folder, "files": made.files, "counts": facts.counts(), "no_reliance": facts.no_reliance})
    else:
        print_table(("status", "controls"), facts.counts().items())
        for finding in facts.of_status(FAIL):
            click.echo(f"{finding.control.id} FAIL: {finding.detail}: {finding.control.requirement}", err=True)
        if facts.no_reliance:
            click.echo(f"audit-pipeline: nothing can be relied on: {facts.no_reliance}", err=True)
        for file, problem in facts.register_problems:
            click.echo(f"audit-pipeline: registers: {file}: {problem}", err=True)
        click.echo(f"report {folder}")
    if facts.no_reliance or facts.of_status(FAIL):
        click.get_current_context().exit(1)
