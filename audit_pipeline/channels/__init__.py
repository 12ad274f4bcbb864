"""Ways to tell somebody: each takes a message and puts it into the shape its receiver documents."""

from audit_pipeline.channels.apprise_urls import AppriseChannel
from audit_pipeline.channels.email import EmailChannel
from audit_pipeline.channels.http import Post, Webhook
from audit_pipeline.channels.pagerduty import PagerDuty
from audit_pipeline.channels.slack import Slack
from audit_pipeline.channels.snmp import SnmpTrap
from audit_pipeline.channels.teams import Teams

Channel = AppriseChannel | EmailChannel | PagerDuty | Slack | SnmpTrap | Teams | Webhook
"""Each has `send(message)`, which returns when the receiver took it.

It raises StorageError, in one line without secrets, where it did not; then the message may have arrived all the same.
"""

__all__ = ["AppriseChannel", "Channel", "EmailChannel", "PagerDuty", "Post", "Slack", "SnmpTrap", "Teams", "Webhook"]
