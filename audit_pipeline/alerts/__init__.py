"""When somebody is told of what: faults become alerts, alerts become notices, notices are sent until they are received.

No I/O and no clock: rows of the table `alerts` come in, rows to append come out. The table is the queue, so a restart
loses nothing.
"""

from audit_pipeline.alerts.book import Alert, AlertRow, Book, Delivery, Notice, read_book
from audit_pipeline.alerts.faults import KINDS, MANY, Fault, Kind, Severity, one_word
from audit_pipeline.alerts.messages import Message, make_message
from audit_pipeline.alerts.notices import due_notices
from audit_pipeline.alerts.raising import acknowledge, number_rows, raise_and_resolve
from audit_pipeline.alerts.rules import Quiet, Rules
from audit_pipeline.alerts.sending import Attempt, dead_channels, due_attempts, settle_attempt

__all__ = [
    "KINDS",
    "MANY",
    "Alert",
    "AlertRow",
    "Attempt",
    "Book",
    "Delivery",
    "Fault",
    "Kind",
    "Message",
    "Notice",
    "Quiet",
    "Rules",
    "Severity",
    "acknowledge",
    "dead_channels",
    "due_attempts",
    "due_notices",
    "make_message",
    "number_rows",
    "one_word",
    "raise_and_resolve",
    "read_book",
    "settle_attempt",
]
