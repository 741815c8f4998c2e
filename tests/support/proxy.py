"""A TCP proxy on loopback that cuts a PostgreSQL connection at a chosen message.

It reads the frontend's messages, so that a test can say "drop the answer to COMMIT" or "cut in the
middle of the COPY" and mean exactly that.
"""

import asyncio
import contextlib
import socket
from urllib.parse import parse_qs, unquote, urlsplit

_COPY_DATA, _QUERY = b"d", b"Q"


class Proxy:
    """Passes bytes on to ``target`` until told otherwise.

    Set ``cut_on`` to ``"commit-lost"`` (the server never gets it), ``"commit-answer"`` (it does, and
    its answer is dropped), ``"copy"`` (cut in the middle of the next COPY), or ``"stall"`` (stalled
    there); each works once and is then counted in ``cuts``.
    """

    def __init__(self, target) -> None:
        self._target = target
        self.cut_on = None
        self.cut_port = None  # the client's port of the one connection to cut; None: any
        self.cuts = 0
        self.messages = 0
        self.cut_at = None  # cut at the message with this number, counted over all connections
        self.deliver = False  # the message at which to cut still reaches the server
        self.refusing = False
        self.delay = 0.0  # seconds that each message takes, both ways
        self.stalled = False  # nothing is read on: buffers fill up
        self.silent = False  # half-open: all is accepted, nothing comes through
        self._links = set()
        self._writers = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc):
        self._server.close()
        while self._writers:
            self.cut_all()
            await asyncio.sleep(0.01)
        await self._server.wait_closed()

    def cut_all(self):
        for writer in list(self._writers):
            writer.transport.abort()

    def hear_again(self, linger=0.0):
        """End the silence: the clients' connections break, the server's after ``linger`` s."""
        self.silent = False
        loop = asyncio.get_running_loop()
        for link in self._links:
            if link.lost:
                link.client.transport.abort()
                loop.call_later(linger, link.server.transport.abort)

    async def _connect(self):
        host, port = self._target
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def _serve(self, reader, writer):
        if self.refusing:
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        link = _Link(self, writer, up_writer)
        self._links.add(link)
        try:
            await asyncio.gather(link.forward(reader), link.back(up_reader))
        finally:
            self._links.discard(link)
            self._writers -= {writer, up_writer}
            for each in (writer, up_writer):
                with contextlib.suppress(Exception):
                    each.transport.abort()


class _Link:
    def __init__(self, proxy, client, server):
        self.proxy, self.client, self.server = proxy, client, server
        self.deaf = False
        self.lost = False  # a message has got lost: nothing can come through any more

    async def _passes(self):
        """Whether the next bytes come through, once they have taken their time."""
        while self.proxy.stalled:
            await asyncio.sleep(0.02)
        if self.proxy.delay:
            await asyncio.sleep(self.proxy.delay)
        self.lost |= self.proxy.silent
        return not self.lost

    async def forward(self, reader):
        """Client to server, message by message once the startup packet is through."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readexactly(4)
            length = int.from_bytes(head, "big")
            startup = head + await reader.readexactly(length - 4)
            if await self._passes():
                self.server.write(startup)
            while True:
                kind = await reader.readexactly(1)
                size = await reader.readexactly(4)
                body = await reader.readexactly(int.from_bytes(size, "big") - 4)
                if self._cut(kind, body):
                    return
                if await self._passes():
                    self.server.write(kind + size + body)
                    await self.server.drain()
        if not self.deaf and not self.lost:
            self.server.transport.abort()

    def _count(self, kind, body):
        """Whether this is the message at which to cut, by number; True: it is not passed on."""
        proxy = self.proxy
        proxy.messages += 1
        if proxy.messages != proxy.cut_at:
            return False
        proxy.cuts += 1
        if proxy.deliver:
            self.deaf = True
            self.server.write(kind + (len(body) + 4).to_bytes(4, "big") + body)
            # Time for the server to do it, then the end on both sides, with no answer.
            loop = asyncio.get_running_loop()
            loop.call_later(0.03, self.client.transport.abort)
            loop.call_later(0.06, self.server.transport.abort)
        else:
            self.server.transport.abort()
            self.client.transport.abort()
        return True

    def _cut(self, kind, body):
        if self._count(kind, body):
            return True
        want = self.proxy.cut_on
        port = self.client.get_extra_info("peername")[1]
        if want is None or self.proxy.cut_port not in (None, port):
            return False
        commit = kind == _QUERY and body.upper().startswith(b"COMMIT")
        if want == "commit-lost" and commit:
            self._done()
            self.server.transport.abort()
            self.client.transport.abort()
            return True
        if want == "commit-answer" and commit:
            self._done()
            # The server gets the COMMIT, and does it; the client hears nothing but a reset.
            self.deaf = True
            self.server.write(kind + (len(body) + 4).to_bytes(4, "big") + body)
            asyncio.get_running_loop().call_later(0.2, self.client.transport.abort)
            return True
        if want == "stall" and kind == _COPY_DATA:
            self._done()
            self.proxy.stalled = True
        if want == "copy" and kind == _COPY_DATA:
            self._done()
            self.server.write(kind + (len(body) + 4).to_bytes(4, "big") + body[: len(body) // 2])
            self.server.transport.abort()
            self.client.transport.abort()
            return True
        return False

    def _done(self):
        self.proxy.cut_on = None
        self.proxy.cuts += 1

    async def back(self, reader):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if await self._passes() and not self.deaf:
                    self.client.write(data)
                    await self.client.drain()
        if not self.deaf and not self.lost:
            self.client.transport.abort()


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def target_of(dsn):
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    host = query.get("host", [parts.hostname])[0]
    return unquote(host), int(query.get("port", [parts.port or 5432])[0])


def through(dsn, port):
    parts = urlsplit(dsn)
    user = parts.username or "postgres"
    password = f":{parts.password}" if parts.password else ""
    return f"postgresql://{user}{password}@127.0.0.1:{port}{parts.path}?sslmode=disable"
