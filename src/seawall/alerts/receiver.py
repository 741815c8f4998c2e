"""Who is told: the protocol, and what all that speak HTTP share."""

import asyncio
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from seawall.alerts.alert import Notification, Severity
from seawall.errors import AlertDeliveryError, InvalidConfigError

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class Receiver(Protocol):
    """Takes notifications to people.

    Attributes:
        name: unique; what waits for a receiver is kept under it, over restarts and releases.
    """

    name: str

    async def send(self, notification: Notification) -> None:
        """Deliver; any exception is a failure, and it is tried again.

        At least once: a worker may die between the delivery and writing down that it was done.
        """
        ...


class Receivers:
    """The receivers of one manager, each with the least severity that it is told of."""

    def __init__(self) -> None:
        self._least: dict[str, tuple[Receiver, Severity]] = {}

    def add(self, receiver: Receiver, least: Severity) -> None:
        """Tell ``receiver`` of alerts from ``least`` on.

        Raises:
            InvalidConfigError: another receiver has its name.
        """
        known = self._least.get(checked_name(receiver.name))
        if known is not None and known[0] is not receiver:
            raise InvalidConfigError(
                f"two receivers are named {receiver.name!r}: give one of them another name="
            )
        self._least[receiver.name] = (receiver, least)

    def least(self) -> dict[str, Severity]:
        """Each one's name, and what it is told of."""
        return {name: least for name, (_, least) in self._least.items()}

    def __iter__(self) -> Iterator[Receiver]:
        return iter([receiver for receiver, _ in self._least.values()])


def checked_name(name: str) -> str:
    """The name itself.

    Raises:
        InvalidConfigError: it isn't letters, digits, ``_``, ``.`` and ``-``.
    """
    if not _NAME.fullmatch(str(name)):
        raise InvalidConfigError(
            f"name={name!r}: must be 1 to 100 letters, digits, underscores, dots or dashes"
        )
    return name


def checked_url(url: str) -> str:
    """The address itself.

    Raises:
        InvalidConfigError: it isn't an http or https address.
    """
    parts = urlsplit(str(url))
    if parts.scheme not in ("http", "https") or not parts.netloc:
        # Not shown: the address of a webhook is a secret.
        raise InvalidConfigError("url: must begin with http:// or https:// and name a host")
    return url


async def post_json(url: str, body: Any, *, headers: Mapping[str, str], timeout: float) -> None:
    """POST ``body`` as JSON, in a worker thread.

    Raises:
        AlertDeliveryError: no answer, or none of 2xx; the address is not in its text.
    """
    request = urllib.request.Request(  # noqa: S310 - checked to be http(s) when it was given
        url,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "seawall", **headers},
        method="POST",
    )

    def send() -> None:
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
                answer.read(1)
        except urllib.error.HTTPError as error:
            raise AlertDeliveryError(f"{urlsplit(url).netloc} answered {error.code}") from None
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise AlertDeliveryError(f"{urlsplit(url).netloc}: {reason}") from None

    await asyncio.to_thread(send)
