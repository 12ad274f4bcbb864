"""Releases: from the rows of `annotations` to published summaries, through the ledger."""

from audit_pipeline.releasing.releasing import Released, check_ledger, due_revision, release_window

__all__ = ["Released", "check_ledger", "due_revision", "release_window"]
