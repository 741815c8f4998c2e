"""Notifications to Prometheus' Alertmanager, by its API v2."""

from collections.abc import Mapping
from datetime import timedelta

from seawall.alerts.alert import Notification, Told
from seawall.alerts.receiver import checked_name, checked_url, post_json
from seawall.config import Range

# Alertmanager takes an alert for resolved that isn't posted again in time: we say when it is.
_LASTS = timedelta(days=365)


class Alertmanager:
    """Posts alerts to ``/api/v2/alerts``; Alertmanager groups, routes and silences them itself.

    Labels are ``alertname`` (the rule), ``severity``, ``pipeline``, ``alert_key`` and the alert's
    own.

    Args:
        url: Alertmanager's address, such as ``http://alertmanager:9093``.
        name: of the receiver.
        headers: to send along.
        timeout: seconds for one delivery.

    Raises:
        InvalidConfigError: an argument can't be.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "alertmanager",
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
    ) -> None:
        Range(float, 0, 60, low_open=True).check("timeout", timeout)
        self.name = checked_name(name)
        self._url = f"{checked_url(url).rstrip('/')}/api/v2/alerts"
        self._headers, self._timeout = dict(headers or {}), timeout

    async def send(self, notification: Notification) -> None:
        """Deliver.

        Raises:
            AlertDeliveryError: no answer, or none of 2xx.
        """
        body = [_alert(each) for each in notification.told]
        await post_json(self._url, body, headers=self._headers, timeout=self._timeout)


def _alert(told: Told) -> dict[str, object]:
    alert = told.alert
    ends = alert.resolved_at if told.kind == "resolved" else alert.fired_at + _LASTS
    labels = {
        **alert.labels,
        "alertname": alert.rule,
        "severity": str(alert.severity),
        "pipeline": alert.pipeline_id or "",
        "alert_key": alert.key,
    }
    return {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {"summary": alert.title, "description": alert.message},
        "startsAt": alert.fired_at.isoformat(),
        "endsAt": (ends or alert.last_at).isoformat(),
    }
