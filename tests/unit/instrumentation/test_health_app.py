"""Health over HTTP, mounted and by itself."""

import asyncio
import json

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from seawall import ErrorRecoveryManager
from seawall.instrumentation.asgi import health_app
from support.serving import get, serving

pytestmark = pytest.mark.real_time  # a server, and readings in threads

HERE = {"memory_percent": None, "cpu_percent": None, "disk_inodes_percent": None}


def manager_of(**thresholds):
    config = {"health_thresholds": {"disk_percent": None, **HERE, **thresholds}}
    return ErrorRecoveryManager("postgresql://nobody@127.0.0.1:1/nothing", config=config)


async def test_a_manager_that_is_not_started_lives_and_is_not_ready():
    async with serving(health_app(manager_of())) as port:
        assert (await get(port, "/live"))[0] == 200
        status, headers, body = await get(port, "/ready")
    assert status == 503
    assert json.loads(body)["status"] == "not ready"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("disk", "status", "told"), [((0, None), 200, "warn"),
                                                      ((0, 0), 503, "critical")])  # fmt: skip
async def test_health_is_told_where_the_app_is_mounted(disk, status, told):
    app = Starlette(routes=[Mount("/internal", health_app(manager_of(disk_percent=disk)))])
    async with serving(app) as port:
        found, _, body = await get(port, "/internal/health")
    assert found == status
    health = json.loads(body)
    assert health["status"] == told
    worst = health["readings"][0]
    assert worst["name"] == "disk_percent"
    assert worst["advice"]
    assert health["worker"]["pipeline_id"] == "default"


async def test_other_paths_and_methods_are_refused():
    async with serving(health_app(manager_of())) as port:
        assert (await get(port, "/metrics"))[0] == 404
        assert (await get(port, "/live", method="DELETE"))[0] == 405
        status, headers, body = await get(port, "/live", method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 0


async def test_many_requests_ask_once():
    asked = 0

    class Manager:
        async def get_system_health(self):
            nonlocal asked
            asked += 1
            await asyncio.sleep(0.05)
            raise OSError("out of reach, password=hunter2")

    async with serving(health_app(Manager())) as port:
        answers = await asyncio.gather(*[get(port, "/health") for _ in range(20)])
    assert asked == 1
    assert {status for status, *_ in answers} == {503}
    assert json.loads(answers[0][2])["status"] == "unknown"
    assert b"hunter2" not in answers[0][2]


async def test_a_websocket_is_closed():
    sent = []

    async def send(message):
        sent.append(message)

    await health_app(manager_of())({"type": "websocket", "path": "/live"}, None, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]
