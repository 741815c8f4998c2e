"""A dashboard over a real database with something to be seen, and browsers that are signed in."""

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import httpx

from seawall import ErrorRecoveryManager
from seawall.dashboard import Role, User, dashboard_app

OPERATOR, VIEWER = "operator-token-0123456789", "viewer-token-0123456789ab"
TOKENS = {OPERATOR: User("olga", Role.OPERATOR), VIEWER: User("victor", Role.VIEWER)}

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"&{{ 7*7 }}"
SECRET = "hunter2-is-secret"
PAYLOAD = "only-in-the-payload"


@dataclass
class Story:
    """What there is to be seen."""

    run_id: str = "flights-1"
    service: str = "weather api"
    error_id: UUID | None = None
    quarantine_id: UUID | None = None
    record_ids: list[UUID] = field(default_factory=list)


@asynccontextmanager
async def managed(dsn, **config):
    config = {"health_interval_seconds": 0, "initial_delay": 0, **config}
    async with ErrorRecoveryManager(dsn, config=config, pipeline_id="flights") as manager:
        yield manager


async def tell_story(manager):
    """One failed run of everything, with markup wherever a text comes from outside."""
    story = Story()
    try:
        async with manager.run("flights", story.run_id, release=MARKUP, tags={"tag": MARKUP}):
            story.error_id = await manager.log_error_details(
                story.run_id, ValueError(MARKUP), {"context": MARKUP, "password": SECRET},
                step="load",
            )  # fmt: skip
            story.quarantine_id = await manager.quarantine_bad_records(
                story.run_id,
                [{"n": n, "name": PAYLOAD, "password": SECRET, "note": MARKUP} for n in range(3)],
                f"bad value {MARKUP}",
                step="load",
                positions=[1, 2, 3],
            )
            await manager.checkpoint_progress(story.run_id, "load", {"done": 3})
            raise OSError(MARKUP)
    except OSError:
        pass
    await manager.raise_alert("disk", f"Disk {MARKUP}", MARKUP, severity="critical")
    async with manager.database.acquire() as connection:
        rows = await connection.fetch(
            "SELECT record_id FROM seawall.quarantined_records ORDER BY record_id"
        )
    story.record_ids = [row["record_id"] for row in rows]
    return story


def client_of(app, token=None, **options):
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://seawall.test", **options)
    client.token = token
    return client


@asynccontextmanager
async def signed_in(app, token, base=""):
    """A browser that has signed in."""
    async with client_of(app) as client:
        answer = await client.post(f"{base}/sign-in", data={"token": token})
        assert answer.status_code == 303, answer.text
        yield client


def form_token_of(text):
    """What the page's forms send back."""
    return re.search(r'name="form_token" value="([^"]+)"', text)[1]


async def act(client, page, action, **values):
    """Send a form of a page, as a browser does."""
    shown = await client.get(page)
    assert shown.status_code == 200, shown.text
    values["form_token"] = form_token_of(shown.text)
    return await client.post(action, data=values, headers={"sec-fetch-site": "same-origin"})


def app_of(manager, **options):
    return dashboard_app(manager, **({"tokens": TOKENS} | options))
