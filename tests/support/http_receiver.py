"""A real HTTP server that takes what is posted to it."""

import asyncio
import json
from contextlib import asynccontextmanager


class HttpReceiver:
    """Keeps each request's path, headers and JSON; answers with ``statuses``, then 200."""

    def __init__(self, statuses=()):
        self.requests, self._statuses = [], list(statuses)
        self.came = asyncio.Event()

    @property
    def bodies(self):
        return [body for _, _, body in self.requests]

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        request, *lines = head.split("\r\n")[:-2]
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        status = self._statuses.pop(0) if self._statuses else 200
        if status == 200:
            self.requests.append((request.split()[1], headers, json.loads(body)))
            self.came.set()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
        writer.close()

    async def count(self, number):
        """Wait until so many have come."""
        while len(self.requests) < number:
            self.came.clear()
            await asyncio.wait_for(self.came.wait(), 10)


@asynccontextmanager
async def http_receiver(statuses=()):
    receiver = HttpReceiver(statuses)
    async with await asyncio.start_server(receiver.serve, "127.0.0.1", 0) as server:
        receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        yield receiver
