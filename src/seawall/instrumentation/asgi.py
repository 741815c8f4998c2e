"""Health over HTTP as a plain ASGI app, for FastAPI, Starlette or a server by itself."""

import functools
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import anyio

from seawall.clock import MACHINE_CLOCK, utc_now
from seawall.health import HealthStatus, SystemHealth
from seawall.manager import ErrorRecoveryManager

_logger = logging.getLogger("seawall.health")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Answer = tuple[int, dict[str, Any]]

_LOOK_SECONDS = 5.0
_READY_SECONDS = 2.0
_FRESH_SECONDS = 1.0


def health_app(manager: ErrorRecoveryManager) -> App:
    """An ASGI app with ``/live``, ``/ready`` and ``/health``; mount it wherever you like.

    ``/live``: 200 while the event loop turns. ``/ready``: 200 where the manager is started and its
    database answers within 2 s, else 503. ``/health``: ``manager.get_system_health()`` as JSON,
    503 where it is critical or can't be told within 5 s. What is at most a second old is told
    again, and asked for by one request at a time: many requests cost no more than one.

    ``/health`` names hosts, pipelines and folders: keep it inside.
    """
    routes: dict[str, Callable[[], Awaitable[Answer]]] = {
        "live": _live,
        "ready": _Shared(functools.partial(_ready, manager)),
        "health": _Shared(functools.partial(_health, manager)),
    }

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if await is_other(scope, receive, send):
            return
        route = routes.get(scope["path"].rstrip("/").rpartition("/")[2])
        if scope["method"] not in ("GET", "HEAD"):
            await respond(send, 405, {"error": "GET or HEAD"})
        elif route is None:
            await respond(send, 404, {"error": "must be one of /live, /ready, /health"})
        else:
            status, body = await route()
            await respond(send, status, body, has_body=scope["method"] == "GET")

    return app


async def is_other(scope: Message, receive: Receive, send: Send) -> bool:
    """Whether it is no HTTP request; then it is dealt with."""
    if scope["type"] == "http":
        return False
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
    return True


async def respond(send: Send, status: int, body: dict[str, Any], *, has_body: bool = True) -> None:
    """Answer with JSON; no cache may keep it."""
    text = json.dumps(body, default=str).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(text)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text if has_body else b""})


class _Shared:
    """An answer that requests of the same second share."""

    def __init__(self, ask: Callable[[], Awaitable[Answer]]) -> None:
        self._ask, self._lock = ask, anyio.Lock()
        self._answer: Answer | None = None
        self._asked_at = 0.0

    async def __call__(self) -> Answer:
        async with self._lock:
            old = MACHINE_CLOCK.monotonic() - self._asked_at > _FRESH_SECONDS
            if self._answer is None or old:
                self._answer = await self._ask()
                self._asked_at = MACHINE_CLOCK.monotonic()
            return self._answer


async def _live() -> Answer:
    return 200, {"status": "live"}


async def _ready(manager: ErrorRecoveryManager) -> Answer:
    try:
        with anyio.fail_after(_READY_SECONDS):
            async with manager.database.acquire() as connection:
                await connection.execute("SELECT 1")
    except Exception as error:
        # Whatever it is: no work can be done now. The log says more than the open door.
        _logger.info("not ready: %s", repr(error))
        return 503, {"status": "not ready", "reason": type(error).__name__}
    return 200, {"status": "ready"}


async def _health(manager: ErrorRecoveryManager) -> Answer:
    try:
        with anyio.fail_after(_LOOK_SECONDS):
            health = await manager.get_system_health()
    except Exception as error:
        _logger.warning("the health could not be told: %s", repr(error))
        return 503, {"status": "unknown", "reason": type(error).__name__, "taken_at": utc_now()}
    return (503 if health.status is HealthStatus.CRITICAL else 200), _told(health)


def _told(health: SystemHealth) -> dict[str, Any]:
    worker = health.worker
    return {
        "status": health.status,
        "taken_at": health.taken_at.isoformat(),
        "worker": {
            "worker_id": worker.worker_id,
            "host": worker.host,
            "pid": worker.pid,
            "pipeline_id": worker.pipeline_id,
            "version": worker.version,
        },
        "readings": [
            {
                "name": each.name,
                "subject": each.subject,
                "value": each.value,
                "status": each.status,
                "says": each.says,
                "advice": each.advice,
            }
            for each in health.readings
        ],
        "fleet": [
            {
                "worker_id": each.worker.worker_id,
                "host": each.worker.host,
                "pipeline_id": each.worker.pipeline_id,
                "alive": each.alive,
                "status": each.status,
                "problems": list(each.problems),
            }
            for each in health.fleet
        ],
    }
