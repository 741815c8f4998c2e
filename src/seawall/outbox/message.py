"""A message as it is published, and as a handler gets it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from seawall.errors import InvalidConfigError
from seawall.text import storable

_LONGEST = 500  # of a name, so that an index holds it


@dataclass(frozen=True, slots=True)
class Message:
    """A message to be published.

    Attributes:
        topic: where it is to go; a relay takes topics.
        payload: any value of the codec's.
        key: messages of one key (and topic) are delivered in the order in which they were
            published; those without are delivered in any.
        headers: names and texts beside the payload.
        idempotency_key: the same message published again under it, while it is in the outbox, is
            one message; the receiver gets it to know the message by.

    Raises:
        InvalidConfigError: a name is no text of 1 to 500 characters, or holds a NUL or a
            lone surrogate.
    """

    topic: str
    payload: Any
    key: str | None = None
    headers: Mapping[str, str] | None = None
    idempotency_key: str | None = None

    def __post_init__(self) -> None:
        check_name("topic", self.topic)
        if self.key is not None:
            check_name("key", self.key)
        if self.idempotency_key is not None:
            check_name("idempotency_key", self.idempotency_key)
        given: list[tuple[object, object]] = list((self.headers or {}).items())
        for name, text in given:
            if not (isinstance(name, str) and isinstance(text, str)):
                raise InvalidConfigError(f"headers[{name!r}]={text!r}: names and values are texts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message as its handler gets it.

    Attributes:
        message_id: a UUIDv7, the same at every delivery.
        idempotency_key: as published, else the id as text: what the receiver knows it by.
        attempts: how often a handler began with it, this time included.
    """

    message_id: UUID
    topic: str
    payload: Any
    key: str | None
    headers: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str
    attempts: int


def check_name(what: str, value: object) -> None:
    """Refuse what is no name.

    Raises:
        InvalidConfigError: it is none.
    """
    is_name = isinstance(value, str) and 0 < len(value) <= _LONGEST and storable(value) == value
    if not is_name:
        raise InvalidConfigError(
            f"{what}={value!r}: must be a text of 1 to {_LONGEST} characters, without NUL and "
            "lone surrogates"
        )
