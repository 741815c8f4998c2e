"""The front door's alerts: who is told of what, and for how long nobody is."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from seawall.alerts import Alert, Severity, Signal, Silence
from seawall.alerts.receiver import Receiver
from seawall.config import Range
from seawall.manager.base import Base


class AlertMethods(Base):
    """Receivers, alerts of your own, silences."""

    def alert_to(
        self, receiver: Receiver, *, min_severity: Severity | str = Severity.WARNING
    ) -> None:
        """Tell ``receiver`` of what goes wrong: once for the fleet, and again when it is over.

        Every worker names the same receivers. Each notification is delivered at least once; what
        can't be delivered is kept, and tried again for some hours.

        Args:
            receiver: ``Webhook``, ``Alertmanager``, ``Apprise``, or an object with a ``name`` and
                ``async send(notification)``.
            min_severity: ``info``, ``warning`` or ``critical``: of these and worse.

        Raises:
            InvalidConfigError: another receiver has its name.
            ValueError: there is no such severity.
        """
        self._services.receivers.add(receiver, Severity(min_severity))

    async def raise_alert(
        self,
        key: str,
        title: str,
        message: str = "",
        *,
        severity: Severity | str = Severity.WARNING,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Raise an alert of your own; it is kept when this returns, and fires until it is resolved.

        Args:
            key: the same for the same thing: raised again, it is only counted.
            title: one line.
            message: what happened and what to do.
            severity: ``info``, ``warning`` or ``critical``.
            labels: what silences match.
        """
        alerts = self._services.analytics.alerts
        alerts.signal(
            Signal(
                key=f"user:{key}",
                rule="user",
                severity=Severity(severity),
                title=title,
                message=message,
                pipeline_id=self.pipeline_id,
                labels=dict(labels or {}),
            )
        )
        await alerts.flush()

    async def resolve_alert(self, key: str) -> None:
        """What ``raise_alert`` raised is over; receivers are told when it stays so for a minute."""
        alerts = self._services.analytics.alerts
        alerts.signal(Signal(key=f"user:{key}", rule="user", firing=False))
        await alerts.flush()

    async def list_alerts(self, *, state: str | None = None, limit: int = 100) -> list[Alert]:
        """The fleet's alerts, those seen last first.

        Args:
            state: ``firing``, ``resolving`` or ``resolved`` only.
            limit: how many at the most.
        """
        await self._services.analytics.alerts.flush()
        return await self._services.analytics.alerts.store.list(state=state, limit=limit)

    async def list_silences(self) -> Sequence[Silence]:
        """The silences that run now, the one that ends first before the others."""
        return await self._services.analytics.alerts.store.silences()

    async def silence_alerts(
        self, matchers: Mapping[str, str], *, seconds: float, actor: str, reason: str
    ) -> UUID:
        """Tell nobody of some alerts for a while; they are kept all the same.

        Args:
            matchers: label values that an alert must have, all of them; ``rule``, ``pipeline_id``,
                ``severity`` and ``key`` count as labels. Empty: all alerts.
            seconds: for how long.
            actor: who silences them.
            reason: why.

        Raises:
            InvalidConfigError: ``seconds`` isn't above 0.
        """
        Range(float, low_open=True).check("seconds", seconds)
        return await self._services.analytics.alerts.store.silence(matchers, seconds, actor, reason)

    async def end_silence(self, silence_id: UUID, *, actor: str, reason: str) -> bool:
        """End a silence now; False where none was running."""
        return await self._services.analytics.alerts.store.end_silence(silence_id, actor, reason)
