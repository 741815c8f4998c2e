"""Messages committed with the work that they tell of, and delivered by a relay."""

from seawall.outbox.message import Delivery, Message
from seawall.outbox.relay import Relay
from seawall.outbox.store import OutboxStore

__all__ = ["Delivery", "Message", "OutboxStore", "Relay"]
