"""Dagster components: what YAML under `assets/` may ask for."""

from audit_pipeline.components.alerts import Alerts
from audit_pipeline.components.compliance_report import ComplianceReport
from audit_pipeline.components.daily_seal import DailySeal
from audit_pipeline.components.expectation_suites import ExpectationSuites
from audit_pipeline.components.privacy_summaries import PrivacySummaries
from audit_pipeline.components.run_logs import RunLogs

__all__ = ["Alerts", "ComplianceReport", "DailySeal", "ExpectationSuites", "PrivacySummaries", "RunLogs"]
