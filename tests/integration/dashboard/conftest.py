"""A dashboard with a story behind it."""

from types import SimpleNamespace

import pytest

from support.dashboard import OPERATOR, VIEWER, app_of, client_of, managed, signed_in, tell_story


@pytest.fixture
async def site(database_dsn):
    async with managed(database_dsn) as manager:
        story = await tell_story(manager)
        app = app_of(manager)
        async with (
            signed_in(app, OPERATOR) as operator,
            signed_in(app, VIEWER) as viewer,
            client_of(app) as stranger,
        ):
            yield SimpleNamespace(
                manager=manager, story=story, app=app, operator=operator, viewer=viewer,
                stranger=stranger,
            )  # fmt: skip
