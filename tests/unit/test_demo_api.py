"""The reference API: its script of illness, request by request."""

import json

import anyio
import httpx
import pytest

from seawall.cli.demo.api import ReferenceApi

pytestmark = pytest.mark.real_time  # real sockets

NAMES = {"UA": "United Air Lines Inc."}


async def outcome(client, path="/carriers/UA"):
    try:
        return (await client.get(path)).status_code
    except httpx.HTTPError as error:
        return type(error).__name__


async def test_api_requests_in_order_meet_a_hang_a_503_and_an_outage():
    async with ReferenceApi(NAMES) as api:
        async with httpx.AsyncClient(base_url=api.url, timeout=0.2) as client:
            outcomes = [await outcome(client) for _ in range(16)]
    down = ["RemoteProtocolError"] * 6
    assert outcomes[:8] == [200, "ReadTimeout", 200, 200, 503, 200, 200, 200]
    assert outcomes[8:] == [*down, 200, 200]


async def test_api_answers_the_name_as_json():
    async with ReferenceApi(NAMES) as api, httpx.AsyncClient(base_url=api.url) as client:
        response = await client.get("/carriers/UA")
    assert json.loads(response.content) == {"carrier": "UA", "name": NAMES["UA"]}


async def test_api_503_says_when_to_come_back():
    async with ReferenceApi(NAMES) as api:
        async with httpx.AsyncClient(base_url=api.url, timeout=0.2) as client:
            for _ in range(4):
                await outcome(client)
            assert (await client.get("/carriers/UA")).headers["Retry-After"] == "1"


async def test_api_unknown_carrier_is_404():
    async with ReferenceApi(NAMES) as api, httpx.AsyncClient(base_url=api.url) as client:
        assert await outcome(client, "/carriers/ZZ") == 404


async def test_api_closed_while_a_request_hangs_ends_at_once():
    async with httpx.AsyncClient(timeout=10) as client:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                async with ReferenceApi(NAMES) as api:
                    assert await outcome(client, f"{api.url}/carriers/UA") == 200
                    tasks.start_soon(outcome, client, f"{api.url}/carriers/UA")
                    while api._requests < 2:
                        await anyio.sleep(0.01)
            while api._writers:  # the handler that hung has ended too
                await anyio.sleep(0.01)
