"""The dashboard in a browser: seen, heard by a screen reader, used with a keyboard, live."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

axe_module = pytest.importorskip("axe_playwright_python.async_playwright")

from integration.dashboard.test_dashboard_live import _OPEN_ELSEWHERE as OPEN_ELSEWHERE  # noqa: E402
from seawall.circuitbreaker import CircuitState  # noqa: E402
from seawall.quarantine.record import RecordFilter  # noqa: E402
from support.dashboard import VIEWER  # noqa: E402

WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


def pages_of(story, pattern_id):
    return [
        "/", "/runs", f"/run?id={story.run_id}", "/errors", f"/error?id={story.error_id}",
        "/patterns", f"/pattern?id={pattern_id}", "/pipelines", "/pipeline?id=flights",
        "/quarantine", f"/record?id={story.record_ids[0]}",
        f"/record/edit?id={story.record_ids[0]}", "/breakers", "/breaker?name=weather+api",
        "/alerts", "/workers", "/audit",
    ]  # fmt: skip


async def _picture(window, name):
    """For who wants to look: into the folder that SEAWALL_SCREENSHOTS names."""
    if folder := os.environ.get("SEAWALL_SCREENSHOTS"):
        await window.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@pytest.mark.parametrize(
    ("scheme", "size"), [("light", WIDE), ("dark", WIDE), ("light", PHONE), ("dark", PHONE)]
)
async def test_every_page_can_be_read_by_everybody(shown, scheme, size):
    """Axe finds nothing, the browser has nothing to complain of, and nothing hangs over the edge."""
    manager, story, visit = shown
    await manager.force_circuit_breaker("weather api", CircuitState.OPEN, reason="it is down")
    await manager.silence_alerts({"rule": "x"}, seconds=60, actor="ann", reason="known")
    (pattern, *_) = await manager.get_error_patterns()
    axe = axe_module.Axe()
    async with visit(color_scheme=scheme, viewport=size) as window:
        for path in pages_of(story, pattern.pattern_id):
            assert await window.go(path) == 200
            found = await axe.run(window.page)
            assert found.violations_count == 0, (path, found.generate_report())
            width = await window.page.evaluate("document.documentElement.scrollWidth")
            assert width <= size["width"], path
            name = f"{scheme}-{size['width']}-{path.strip('/').partition('?')[0] or 'overview'}"
            await _picture(window, name.replace("/", "-"))
        assert window.complaints == []


async def test_markup_of_messages_is_never_run(shown):
    """Scripts and images in errors, reasons, payloads, tags and alerts are text on every page."""
    manager, story, visit = shown
    (pattern, *_) = await manager.get_error_patterns()
    async with visit() as window:
        for path in pages_of(story, pattern.pattern_id):
            await window.go(path)
            assert await window.page.locator("img").count() == 0
            scripts = await window.page.locator("script").evaluate_all("found => found.length")
            assert scripts == 2
        assert window.complaints == []


async def test_breaker_opened_in_another_process_appears_by_itself(shown, database_dsn):
    """Nobody loads the page again."""
    _, _, visit = shown
    async with visit(token=VIEWER) as window:
        await window.go("/breakers")
        await window.is_live()
        await window.page.get_by_text("No breaker is shared yet.").wait_for()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", OPEN_ELSEWHERE, database_dsn
        )
        await window.page.get_by_role("rowheader", name="weather api").wait_for()
        await window.page.locator("#live .badge.bad", has_text="open").first.wait_for()
        assert await process.wait() == 0
        assert window.complaints == []


async def test_live_part_changes_and_what_is_being_typed_stays(shown):
    """The form beside it is left alone, and so is the focus."""
    manager, _, visit = shown
    async with visit() as window:
        await window.go("/breaker?name=weather+api")
        await window.is_live()
        why = window.page.get_by_label("Why").first
        await why.fill("half a sen")
        await manager.force_circuit_breaker("weather api", CircuitState.OPEN, reason="elsewhere")
        await window.page.locator("#live .badge", has_text="open").first.wait_for()
        await window.page.keyboard.type("tence")
        assert await why.input_value() == "half a sentence"
        await why.press("Enter")
        await window.page.get_by_text("weather api is forced_open for the whole fleet").wait_for()
        assert window.complaints == []


async def test_record_is_mended_and_reprocessed_by_clicks(shown):
    """From the list to the row in the table, as a person does it."""
    manager, _, visit = shown
    async with manager.database.acquire() as connection:
        await connection.execute("CREATE TABLE names (n int PRIMARY KEY, name text)")
    async with visit() as window:
        page = window.page
        await page.get_by_role("link", name="Quarantine").first.click()
        await page.locator("#live table a").first.click()
        await page.get_by_role("link", name="Edit it").click()
        await page.get_by_label("The record").fill('{"n": 9, "name": "mended"}')
        await page.get_by_label("Why").fill("a typo")
        await page.get_by_role("button", name="Save").click()
        await page.get_by_text("Changed; it can be reprocessed now.").wait_for()
        await page.get_by_label("Load it into this table").fill("names")
        await page.get_by_role("button", name="Reprocess").click()
        await page.get_by_text("1 of 1 records were loaded.").wait_for()
        assert window.complaints == []
    async with manager.database.acquire() as connection:
        assert await connection.fetchval("SELECT name FROM names") == "mended"
    found = await manager.list_quarantined_records(RecordFilter())
    assert sorted(each.status for each in found) == ["pending", "pending", "reprocessed"]


async def test_keyboard_alone_is_enough(shown):
    """The first stop leads past the pages' links, and every stop can be seen."""
    _, _, visit = shown
    async with visit() as window:
        page = window.page
        await window.go("/breaker?name=weather+api")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"
        seen = []
        for _ in range(12):
            await page.keyboard.press("Tab")
            seen.append(await page.evaluate(
                "[document.activeElement.name || document.activeElement.textContent.trim(),"
                " getComputedStyle(document.activeElement).outlineStyle]"
            ))  # fmt: skip
        names = [name for name, _ in seen]
        assert names[:6] == ["seconds", "reason", "Open", "reason", "Close", ""] or (
            {"seconds", "Open", "Close"} <= set(names)
        )
        assert all(style == "solid" for name, style in seen if name in ("seconds", "Open", "Close"))


async def test_without_scripts_all_but_liveness_works(shown):
    """Pages and forms are plain HTML."""
    manager, _, visit = shown
    async with visit(java_script_enabled=False) as window:
        await window.go("/breaker?name=weather+api")
        await window.page.get_by_label("Why").last.fill("it is well")
        await window.page.get_by_role("button", name="Close").click()
        await window.page.get_by_text("weather api is closed for the whole fleet").wait_for()
    async with manager.database.acquire() as connection:
        found = await connection.fetchval("SELECT state FROM seawall.circuit_breaker_states")
    assert found == "closed"


async def test_session_that_ends_leads_back_to_the_sign_in(shown):
    """A live part that may no longer be seen becomes the page to sign in."""
    manager, _, visit = shown
    async with visit() as window:
        await window.go("/breakers")
        await window.is_live()
        await window.page.context.clear_cookies()
        await manager.force_circuit_breaker("weather api", CircuitState.OPEN, reason="x")
        await window.page.get_by_text("Sign in to seawall").wait_for()
