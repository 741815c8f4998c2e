"""Notifications through apprise: mail, chat, phone; more than a hundred services."""

from collections.abc import Sequence

from seawall.alerts.alert import Notification, Severity
from seawall.alerts.receiver import checked_name
from seawall.errors import AlertDeliveryError, InvalidConfigError

_TYPES = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "failure"}


class Apprise:
    """Sends through apprise's addresses, such as ``slack://…`` or ``mailto://…``.

    Needs the extra ``alerts``.

    Args:
        urls: apprise's addresses; they are secrets, and never shown.
        name: of the receiver.

    Raises:
        InvalidConfigError: apprise isn't installed, or doesn't know an address's form.
    """

    def __init__(self, urls: str | Sequence[str], *, name: str = "apprise") -> None:
        self.name = checked_name(name)
        try:
            import apprise
        except ImportError:
            raise InvalidConfigError(
                "apprise is not installed: pip install 'seawall[alerts]'"
            ) from None
        self._apprise = apprise.Apprise()
        for place, url in enumerate([urls] if isinstance(urls, str) else urls):
            if not self._apprise.add(url):
                raise InvalidConfigError(
                    f"urls[{place}]: apprise doesn't know an address of this form (not shown, "
                    "since it may hold a secret)"
                )

    async def send(self, notification: Notification) -> None:
        """Deliver to all addresses.

        Raises:
            AlertDeliveryError: apprise reports that one of them failed.
        """
        kind = "success" if notification.kind == "resolved" else _TYPES[notification.severity]
        done = await self._apprise.async_notify(
            title=notification.title, body=notification.text, notify_type=kind
        )
        if not done:
            raise AlertDeliveryError("apprise could not deliver it; its log says more")
