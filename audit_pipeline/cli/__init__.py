"""The command line. Exit codes: 0 done or holds; 1 evidence does not hold, or a run or check failed; 2 anything else.

Heavy libraries are imported inside the commands, so that `--help` answers at once.
"""

from typing import Any

import click

from audit_pipeline.cli.alerting import alerts
from audit_pipeline.cli.doctor import doctor
from audit_pipeline.cli.here import CANNOT_TELL, DOES_NOT_HOLD
from audit_pipeline.cli.keys import first_mark, freeze, key
from audit_pipeline.cli.looking import query, status, verify
from audit_pipeline.cli.project import add_stream, init, keygen
from audit_pipeline.cli.proving import check, prove
from audit_pipeline.cli.reporting import report
from audit_pipeline.cli.running import demo, run, ui
from audit_pipeline.errors import AuditError, ProofError

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class ExitCodes(click.Group):
    """A group whose commands end with the exit codes above, whatever they raise."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AuditError as err:
            click.echo(f"audit-pipeline: {err}", err=True)
            ctx.exit(DOES_NOT_HOLD if isinstance(err, ProofError) else CANNOT_TELL)
        except BrokenPipeError:
            raise  # the reader of our output went away: click knows what to do
        except OSError as err:
            click.echo(f"audit-pipeline: {err}", err=True)
            ctx.exit(CANNOT_TELL)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


@click.group(cls=ExitCodes)
@click.version_option(package_name="rlhf-audit-pipeline")
def main() -> None:
    """Turns RLHF run logs into tables with evidence that anyone can check later."""


for command in (
    init,
    add_stream,
    keygen,
    demo,
    run,
    ui,
    verify,
    prove,
    check,
    query,
    report,
    status,
    key,
    freeze,
    first_mark,
    alerts,
    doctor,
):
    main.add_command(command)
