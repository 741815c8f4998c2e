"""The front door's care for stored payloads."""

from seawall.manager.base import Base
from seawall.postgres.payload_store import KeyRotation


class PayloadMethods(Base):
    """Quarantined payloads as they are stored."""

    async def rotate_quarantine_keys(self, *, size: int = 500) -> KeyRotation:
        """Encrypt quarantined records under the first key: those under others, and plain ones.

        ``size`` records a transaction; can be stopped and run again at any time, by several
        workers. Once ``left`` is 0 (and every worker has the new key first) an old key can go.

        Raises:
            InvalidConfigError: there is no key.
            QuarantineKeyError: a record's key is not here; what was done so far stands.
        """
        return await self._services.payloads.rotate(size=size)
