"""Airflow 3 operators: each runs one command of `audit-pipeline` and knows what its exit codes mean.

Airflow pins hundreds of packages, so the pipeline may live in an environment of its own: `command` is its path. Airflow
imports this package alone, which needs nothing but Airflow.
"""

import subprocess
from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

DOES_NOT_HOLD = 1


class AuditOperator(BaseOperator):
    """Runs `audit-pipeline` with `arguments` in the policy folder `policy`.

    Exit code 1 says that evidence does not hold, a check failed or a store is not as it must be: the task fails and is
    not tried again, since the same would be found. Any other failure, such as a bucket that does not answer, is left to
    Airflow's retries.
    """

    template_fields: Sequence[str] = ("arguments", "policy", "command")
    ui_color: ClassVar[str] = "#d9e8d3"

    def __init__(
        self, *, arguments: Sequence[str], policy: str, command: str = "audit-pipeline", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.arguments, self.policy, self.command = list(arguments), policy, command

    def execute(self, context: Any) -> str:
        """What the command printed."""
        words = [self.command, *self.arguments]
        # The words are the DAG author's own, without a shell.
        done = subprocess.run(words, cwd=self.policy, capture_output=True, text=True, check=False)  # noqa: S603
        self.log.info("%s\n%s", done.stdout, done.stderr)
        if done.returncode == DOES_NOT_HOLD:
            raise AirflowFailException(f"{' '.join(words)}: does not hold: {done.stderr[-500:]}")
        if done.returncode:
            raise AirflowException(f"{' '.join(words)}: exit code {done.returncode}: {done.stderr[-500:]}")
        return done.stdout


class AuditRun(AuditOperator):
    """Takes in, seals and verifies a day, the data interval's unless another is given."""

    def __init__(self, *, day: str = "{{ ds }}", **kwargs: Any) -> None:
        super().__init__(arguments=["run", "--date", day], **kwargs)


class AuditVerify(AuditOperator):
    """Compares all that is stored with what was signed."""

    def __init__(self, *, require: Sequence[str] = (), **kwargs: Any) -> None:
        levels = [word for level in require for word in ("--require", level)]
        super().__init__(arguments=["verify", *levels], **kwargs)


class AuditReport(AuditOperator):
    """Makes the compliance report of a period."""

    def __init__(self, *, first: str, last: str, **kwargs: Any) -> None:
        super().__init__(arguments=["report", "--from", first, "--to", last], **kwargs)
