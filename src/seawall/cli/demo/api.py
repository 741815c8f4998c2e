"""The reference API: a real HTTP server on loopback that gives carriers' names, when it is well.

Its illness follows a script by the number of requests, so that every run of the demo meets a
timeout, a 503 with Retry-After, and an outage long enough to open the circuit breaker twice.
"""

import asyncio
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import anyio

_HANGS = {2}
_BUSY = {5}
_DOWN = range(9, 15)
_HANG_SECONDS = 30.0
RETRY_AFTER_SECONDS = 1


class ReferenceApi:
    """``GET /carriers/UA`` answers ``{"carrier": "UA", "name": …}``; ``async with`` runs it."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._requests = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._closing = anyio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self._requests += 1
            await self._answer(self._requests, head, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass  # a client that went away is its own affair
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, number: int, head: bytes, writer: asyncio.StreamWriter) -> None:
        if number in _DOWN:
            writer.transport.abort()
            return
        if number in _HANGS:  # until long after the client's timeout, or the end
            with anyio.move_on_after(_HANG_SECONDS):
                await self._closing.wait()
            return
        code = head.split(b" ", 2)[1].decode("ascii", "replace").rpartition("/")[2]
        if number in _BUSY:
            reply = _reply(503, {"error": "busy"}, f"Retry-After: {RETRY_AFTER_SECONDS}\r\n")
        elif code in self._names:
            reply = _reply(200, {"carrier": code, "name": self._names[code]})
        else:
            reply = _reply(404, {"error": f"no carrier {code!r}"})
        writer.write(reply)
        await writer.drain()


_PHRASES = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}


def _reply(status: int, body: Mapping[str, str], headers: str = "") -> bytes:
    content = json.dumps(body).encode()
    return (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n{headers}\r\n"
    ).encode() + content
