"""A real browser before a real dashboard; skipped where there is none."""

import os
import shutil
from contextlib import asynccontextmanager

import pytest

from support.dashboard import OPERATOR, app_of, managed, tell_story
from support.serving import serving

playwright = pytest.importorskip("playwright.async_api", reason="the browser tests need Playwright")
CHROMIUM = os.environ.get("SEAWALL_CHROMIUM") or shutil.which("chromium")


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/browser" in str(item.path).replace(os.sep, "/"):
            item.add_marker(pytest.mark.timeout(120))
            item.add_marker(pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"))


class Visit:
    """A browser's window, signed in; ``complaints`` is what the browser says of the pages."""

    def __init__(self, page, base):
        self.page, self.base, self.complaints = page, base, []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"a dialog: {dialog.message}"))

    def _hear(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    async def go(self, path):
        answer = await self.page.goto(self.base + path)
        return answer.status

    async def sign_in(self, token=OPERATOR):
        await self.go("/sign-in")
        await self.page.get_by_label("Your token").fill(token)
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.wait_for_url(self.base + "/")

    async def is_live(self):
        await self.page.locator("#live-state.is-live").wait_for()


@pytest.fixture
async def shown(database_dsn):
    """A manager, its story, and ``visit(**options)``: a window of its own on its dashboard."""
    async with (
        managed(database_dsn) as manager,
        serving(app_of(manager)) as port,
        playwright.async_playwright() as tool,
    ):
        story = await tell_story(manager)
        browser = await tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

        @asynccontextmanager
        async def visit(*, token=OPERATOR, **options):
            context = await browser.new_context(**options)
            window = Visit(await context.new_page(), f"http://127.0.0.1:{port}")
            await window.sign_in(token)
            yield window
            await context.close()

        yield manager, story, visit
        await browser.close()
