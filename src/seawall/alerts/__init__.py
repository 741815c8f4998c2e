"""Alerts: each thing that is wrong is told once for the whole fleet, and again when it is over."""

from seawall.alerts.alert import Alert, Notification, Severity, Signal, Silence, Told
from seawall.alerts.alertmanager import Alertmanager
from seawall.alerts.apprise import Apprise
from seawall.alerts.desk import AlertDesk
from seawall.alerts.receiver import Receiver
from seawall.alerts.store import AlertStore
from seawall.alerts.webhook import Webhook

__all__ = [
    "Alert",
    "AlertDesk",
    "AlertStore",
    "Alertmanager",
    "Apprise",
    "Notification",
    "Receiver",
    "Severity",
    "Signal",
    "Silence",
    "Told",
    "Webhook",
]
