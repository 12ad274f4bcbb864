"""The typed view: event tables made from `records`, each commit once, the same rows whoever makes them."""

from audit_pipeline.derive.event_tables import AGAIN_APP, DERIVE_APP, derive_events

__all__ = ["AGAIN_APP", "DERIVE_APP", "derive_events"]
