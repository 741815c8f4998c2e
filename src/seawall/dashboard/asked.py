"""What a page or a form was asked for, checked."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import anyio
from starlette.requests import Request

from seawall.clock import MACHINE_CLOCK
from seawall.dashboard.user import User
from seawall.manager import ErrorRecoveryManager
from seawall.text import storable

MOST_FORM_BYTES = 4 * 1024 * 1024
_LONGEST_TEXT = 1_000


class BadRequestError(Exception):
    """What was asked for can't be; the message says what would be right."""

    status = 400


class TooLargeError(BadRequestError):
    """A form has more bytes than are taken."""

    status = 413


class NotThereError(BadRequestError):
    """There is no such thing."""

    status = 404


class Recent:
    """What was found out some seconds ago, for what costs much and changes slowly."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._found: dict[object, tuple[float, Any]] = {}

    async def get(self, key: object, find: Callable[[], Awaitable[Any]]) -> Any:
        """What was found under the key; found anew where that is too long ago."""
        now = MACHINE_CLOCK.monotonic()
        old = [each for each, (at, _) in self._found.items() if at < now - self._seconds]
        for each in old:
            self._found.pop(each, None)
        if key not in self._found:
            self._found[key] = (now, await find())
        return self._found[key][1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request: who asks, of which manager, and the values sent.

    Attributes:
        recent: what other requests have found out lately.
        values: of the query and the path of a page; of an action, of its form.
    """

    manager: ErrorRecoveryManager
    user: User
    recent: Recent
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def schema(self) -> str:
        return self.manager.database.schema

    def connection(self) -> AbstractAsyncContextManager[Any]:
        """A connection to look with."""
        return self.manager.database.acquire()

    def text(self, name: str) -> str | None:
        """A value without spaces around it; None where it is empty or not there."""
        value = storable(self.values.get(name, "")).strip()
        if len(value) > _LONGEST_TEXT:
            raise BadRequestError(f"{name}: must have at most {_LONGEST_TEXT} characters")
        return value or None

    def needed(self, name: str, why: str = "") -> str:
        """A value that must be there."""
        value = self.text(name)
        if value is None:
            raise BadRequestError(f"{name}: must be given{why and ', '}{why}")
        return value

    def one_of(self, name: str, known: tuple[str, ...]) -> str | None:
        """One of some words, or None."""
        value = self.text(name)
        if value is not None and value not in known:
            raise BadRequestError(f"{name}={value}: must be one of {', '.join(known)}")
        return value

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number within bounds."""
        value = self.text(name)
        if value is None:
            return default
        try:
            found = int(value)
        except ValueError:
            found = low - 1
        if not low <= found <= high:
            raise BadRequestError(f"{name}={value}: must be a number from {low} to {high}")
        return found

    def key(self, name: str) -> UUID | None:
        """An id, or None."""
        value = self.text(name)
        try:
            return None if value is None else UUID(value)
        except ValueError:
            raise BadRequestError(f"{name}={value}: must be an id, a UUID") from None

    def needed_key(self, name: str) -> UUID:
        """An id that must be there."""
        value = self.key(name)
        if value is None:
            raise BadRequestError(f"{name}: must be given")
        return value


async def together(*works: Coroutine[Any, Any, Any]) -> list[Any]:
    """What several come to, side by side; the first error of theirs, where there is one."""
    found: list[Any] = [None] * len(works)

    async def one(place: int, work: Coroutine[Any, Any, Any]) -> None:
        found[place] = await work

    try:
        async with anyio.create_task_group() as tasks:
            for place, work in enumerate(works):
                tasks.start_soon(one, place, work)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    return found


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form.

    Raises:
        TooLargeError: it has more than 4 MiB.
        BadRequestError: it is no form.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_FORM_BYTES:
            raise TooLargeError(
                f"a form may have {MOST_FORM_BYTES // 1024 // 1024} MiB: use `seawall quarantine "
                "edit` or `export` and `import` for larger records"
            )
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise BadRequestError("the content type must be application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=200
        )
    except ValueError as error:
        raise BadRequestError(f"this is no form: {error}") from None
    return dict(pairs)
