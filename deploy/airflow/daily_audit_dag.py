"""Example DAG for Airflow 3: the daily run, then verification. Set the two paths to yours."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from audit_pipeline.airflow import AuditRun, AuditVerify

PLACE = {"policy": "/srv/audit/policy", "command": "/opt/audit/bin/audit-pipeline"}

with DAG(
    dag_id="daily_audit",
    schedule="30 0 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=10)},
):
    AuditRun(task_id="run", **PLACE) >> AuditVerify(task_id="verify", require=["extends-own-mark"], **PLACE)
