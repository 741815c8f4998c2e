"""A real HTTP server for an ASGI app, and one request to it."""

import asyncio
import socket
from contextlib import asynccontextmanager

import httpx
import uvicorn


@asynccontextmanager
async def serving(app):
    """The app under uvicorn on a port of its own; gives the port."""
    config = uvicorn.Config(app, log_config=None, ws="none", lifespan="on")
    server = uvicorn.Server(config)
    server.capture_signals = _no_signals
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        task = asyncio.create_task(server.serve([listener]))
        try:
            async with asyncio.timeout(10):
                while not server.started:
                    assert not task.done()
                    await asyncio.sleep(0.01)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


class _no_signals:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


async def get(port, path, *, method="GET", headers=()):
    """Status, headers and body."""
    async with httpx.AsyncClient(trust_env=False, verify=False, timeout=15) as client:  # noqa: S501 - plain HTTP, and a TLS context takes long
        answer = await client.request(
            method, f"http://127.0.0.1:{port}{path}", headers=dict(headers)
        )
    return answer.status_code, answer.headers, answer.content
