"""What can be seen to be wrong by looking at the lake and its places: the faults there are now, by kind.

Each look gives all faults of its kinds. What is expensive to read again is kept in a memory, which a sensor keeps as
its cursor: without it a look reads everything and finds the same.
"""

from audit_pipeline.watches.evidence import see_arrivals, see_seals, see_verifications
from audit_pipeline.watches.judged import see_budgets, see_controls
from audit_pipeline.watches.looking import Memory, Seen
from audit_pipeline.watches.stores import full_stores, see_stores

__all__ = [
    "Memory",
    "Seen",
    "full_stores",
    "see_arrivals",
    "see_budgets",
    "see_controls",
    "see_seals",
    "see_stores",
    "see_verifications",
]
