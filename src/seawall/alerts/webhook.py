"""Notifications as JSON to any address."""

from collections.abc import Mapping

from seawall.alerts.alert import Alert, Notification, Told
from seawall.alerts.receiver import checked_name, checked_url, post_json
from seawall.config import Range


class Webhook:
    """POSTs each notification as JSON; 2xx is success.

    The body: ``dedup_key`` (also the header ``Idempotency-Key``), ``kind``, ``severity``,
    ``title``, ``text``, and ``alerts``: a list of each one's fields.

    Args:
        url: where to.
        name: of the receiver.
        headers: to send along, such as ``Authorization``.
        timeout: seconds for one delivery.

    Raises:
        InvalidConfigError: an argument can't be.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "webhook",
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
    ) -> None:
        Range(float, 0, 60, low_open=True).check("timeout", timeout)
        self.name, self._url = checked_name(name), checked_url(url)
        self._headers, self._timeout = dict(headers or {}), timeout

    async def send(self, notification: Notification) -> None:
        """Deliver.

        Raises:
            AlertDeliveryError: no answer, or none of 2xx.
        """
        await post_json(
            self._url,
            {
                "dedup_key": notification.dedup_key,
                "kind": notification.kind,
                "severity": notification.severity,
                "title": notification.title,
                "text": notification.text,
                "alerts": [_plain(each) for each in notification.told],
            },
            headers={"Idempotency-Key": notification.dedup_key, **self._headers},
            timeout=self._timeout,
        )


def _plain(told: Told) -> dict[str, object]:
    alert: Alert = told.alert
    return {
        "notification_id": str(told.notification_id),
        "key": alert.key,
        "rule": alert.rule,
        "severity": alert.severity,
        "title": alert.title,
        "message": alert.message,
        "pipeline_id": alert.pipeline_id,
        "labels": dict(alert.labels),
        "state": alert.state,
        "episode": alert.episode,
        "count": alert.count,
        "fired_at": alert.fired_at.isoformat(),
        "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
    }
