"""SNMPv3 notifications, authenticated and encrypted (RFC 3414, RFC 3826: SHA and AES)."""

import asyncio
from dataclasses import dataclass
from typing import Any

from audit_pipeline.alerts import Message
from audit_pipeline.errors import PolicyError, StorageError

PLAYPEN = "1.3.6.1.4.1.8072.9999.9999"
"""net-snmp's branch for private use. An enterprise number of your own is better: `oid` in the policy."""
_MOST_BYTES = 1000  # of one value: a datagram of a few values must not be cut


@dataclass(frozen=True, slots=True)
class SnmpTrap:
    """A receiver of traps. Below `oid`: 0.1 the notification; 1.1 key, 1.2 severity, 1.3 title, 1.4 text, 1.5 reason.

    A trap is not answered, so nobody knows whether it arrived; an inform is.
    """

    channel: str
    host: str
    port: int
    user: str
    auth_key: str
    privacy_key: str
    engine_id: str
    """Of this sender, hex: receivers must know it."""
    oid: str = PLAYPEN
    is_inform: bool = False

    def send(self, message: Message) -> None:
        try:
            import pysnmp.hlapi.v3arch.asyncio as snmp
            from pysnmp.error import PySnmpError
        except ImportError as err:
            raise PolicyError(f"channel {self.channel}: needs pysnmp; install rlhf-audit-pipeline[notify]") from err
        texts = (message.key, message.severity.word, message.title, "\n".join(message.lines), message.reason)
        values = [
            (f"{self.oid}.1.{n}", snmp.OctetString(text.encode()[:_MOST_BYTES])) for n, text in enumerate(texts, 1)
        ]
        problem = asyncio.run(self._notify(snmp, PySnmpError, values))
        if problem:
            raise StorageError(f"channel {self.channel}: {self.host}:{self.port}: {problem}; check receiver and keys")

    async def _notify(self, snmp: Any, refused: type[Exception], values: list[tuple[str, Any]]) -> str | None:
        engine = snmp.SnmpEngine(snmp.OctetString(hexValue=self.engine_id))
        user = snmp.UsmUserData(
            self.user,
            authKey=self.auth_key,
            privKey=self.privacy_key,
            authProtocol=snmp.USM_AUTH_HMAC192_SHA256,
            privProtocol=snmp.USM_PRIV_CFB128_AES,
        )
        try:
            target = await snmp.UdpTransportTarget.create((self.host, self.port), timeout=3, retries=1)
            kind = "inform" if self.is_inform else "trap"
            notification = snmp.NotificationType(snmp.ObjectIdentity(f"{self.oid}.0.1")).add_varbinds(*values)
            error, status, _, _ = await snmp.send_notification(
                engine, user, target, snmp.ContextData(), kind, notification
            )
        except (OSError, refused) as err:
            return type(err).__name__
        finally:
            engine.close_dispatcher()
        return str(error or status) if error or status else None
