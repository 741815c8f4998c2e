"""Each page on a real database: what it shows, to whom, and what it does with bad requests."""

from urllib.parse import quote

import asyncpg
import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from seawall.dashboard.app import _ACTIONS, _OPERATORS_PAGES, _PAGES
from seawall.quarantine.record import RecordFilter
from support.dashboard import (
    MARKUP,
    OPERATOR,
    PAYLOAD,
    SECRET,
    app_of,
    managed,
    signed_in,
)

_LISTS = (
    "/", "/runs", "/errors", "/patterns", "/pipelines", "/quarantine", "/breakers", "/alerts",
    "/workers", "/audit",
)  # fmt: skip


def _pages(story):
    return [
        *_LISTS,
        f"/run?id={story.run_id}",
        f"/error?id={story.error_id}",
        "/pipeline?id=flights&days=7&sli=rows",
        f"/breaker?name={quote(story.service)}",
        f"/record?id={story.record_ids[0]}",
        f"/errors?text={quote(MARKUP)}&type=unknown&pipeline=flights&run={story.run_id}",
        f"/quarantine?text={quote(MARKUP)}&status=any&run={story.run_id}&step=load",
        "/runs?status=failed&pipeline=flights&limit=5",
        "/alerts?state=firing",
        "/patterns?days=30&status=open",
    ]


async def _pattern_id(site):
    (pattern,) = await site.manager.get_error_patterns("flights", 7, limit=1)
    return pattern.pattern_id


async def test_pages_all_are_shown_to_both_roles(site):
    """No page fails, whoever looks; none of its text is run by the browser."""
    pages = [*_pages(site.story), f"/pattern?id={await _pattern_id(site)}"]
    for user in (site.operator, site.viewer):
        for page in pages:
            answer = await user.get(page)
            assert answer.status_code == 200, (page, answer.text)
            assert "<h1>" in answer.text, page
            assert "<script>alert" not in answer.text, page
            assert "<img" not in answer.text, page
            assert "{{ 7*7 }}" in answer.text or "49" not in answer.text.split("<main")[0], page
            assert SECRET not in answer.text, page


async def test_pages_show_what_happened(site):
    """The markup of a message is there, as text."""
    escaped = "&lt;script&gt;alert(1)&lt;/script&gt;"
    for page in ("/errors", f"/error?id={site.story.error_id}", "/quarantine", "/alerts"):
        assert escaped in (await site.viewer.get(page)).text, page
    run = (await site.viewer.get(f"/run?id={site.story.run_id}")).text
    assert "failed" in run
    assert escaped in run


async def test_viewer_sees_no_payload(site):
    """What a record held is shown to operators, secrets masked; a viewer's page has none of it."""
    page = f"/record?id={site.story.record_ids[0]}"
    shown = (await site.operator.get(page)).text
    assert PAYLOAD in shown
    assert SECRET not in shown
    seen = (await site.viewer.get(page)).text
    assert PAYLOAD not in seen
    assert "Payloads are shown to operators only" in seen
    assert "form_token" not in seen
    for list_page in _pages(site.story):
        assert PAYLOAD not in (await site.viewer.get(list_page)).text, list_page


async def test_stranger_sees_nothing(site):
    """Without a session each page leads to the sign-in, each action and the stream are refused."""
    for page in (*_PAGES, *_OPERATORS_PAGES):
        answer = await site.stranger.get(page)
        assert answer.status_code == 303, page
        assert answer.headers["location"] == "/sign-in"
    for action in _ACTIONS:
        answer = await site.stranger.post(action, data={"reason": "x"})
        assert answer.status_code == 401, action
    assert (await site.stranger.get("/live")).status_code == 401
    part = await site.stranger.get("/", headers={"hx-request": "true"})
    assert (part.status_code, part.headers["hx-refresh"]) == (401, "true")


async def test_viewer_may_not_act(site):
    """Every action, and the page that shows a record whole, is refused to a viewer."""
    record_id = site.story.record_ids[0]
    assert (await site.viewer.get(f"/record/edit?id={record_id}")).status_code == 403
    for action in _ACTIONS:
        answer = await site.viewer.post(
            action, data={"id": str(record_id), "why": "x", "reason": "x", "name": "a"},
            headers={"sec-fetch-site": "same-origin"},
        )  # fmt: skip
        assert answer.status_code == 403, action
    (record, *_) = await site.manager.list_quarantined_records(RecordFilter())
    assert record.status == "pending"


@pytest.mark.parametrize(
    ("page", "status", "said"),
    [
        ("/error?id=7", 400, "must be an id, a UUID"),
        ("/error", 400, "id: must be given"),
        ("/error?id=00000000-0000-7000-8000-000000000000", 404, "there is no error"),
        ("/record?id=00000000-0000-7000-8000-000000000000", 404, "there is no quarantined record"),
        ("/run?id=nobody", 404, "there is no run"),
        ("/pattern?id=nobody", 404, "there is no error pattern"),
        ("/runs?status=odd", 400, "must be one of running, succeeded"),
        ("/runs?limit=0", 400, "must be a number from 1 to 1000"),
        ("/patterns?days=x", 400, "must be a number from 1 to 90"),
        ("/pipeline?id=a&sli=odd", 400, "must be one of runs, rows"),
        ("/errors?before=1", 400, "must be an id, a UUID"),
        ("/errors?text=" + "x" * 1001, 400, "at most 1000 characters"),
        ("/quarantine?text=%5C", 200, "No records"),
        ("/quarantine?text=%00", 200, "No records"),
        ("/run?id=%00", 404, "there is no run"),
        ("/errors?text=%25_%5C", 200, "No errors"),
        ("/nothing", 404, "There is no such page"),
        ("/../../etc/passwd", 404, "There is no such page"),
        ("/static/../app.py", 404, ""),
        ("/static/..%2f..%2fapp.py", 404, ""),
        ("/static/%2e%2e/%2e%2e/app.py", 404, ""),
        ("/static//etc/passwd", 404, ""),
    ],
)
async def test_page_asked_for_wrongly_says_what_would_be_right(site, page, status, said):
    """A wrong value is named with what would be right; no file but the static ones is given."""
    answer = await site.operator.get(page)
    assert answer.status_code == status, answer.text
    assert said in answer.text
    assert "Traceback" not in answer.text
    assert "dashboard_app" not in answer.text


async def test_page_with_a_method_of_another_is_refused(site):
    assert (await site.operator.post("/runs")).status_code == 405
    assert (await site.operator.get("/breaker/force")).status_code == 405


async def test_every_answer_forbids_foreign_scripts_and_frames(site):
    """Pages, failures, redirects and static files: all have the headers."""
    answers = [
        await site.operator.get("/"),
        await site.operator.get("/error?id=7"),
        await site.operator.get("/nothing"),
        await site.stranger.get("/"),
        await site.stranger.get("/live"),
        await site.stranger.get("/static/seawall.js"),
    ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
    assert answers[0].headers["cache-control"] == "no-store"


async def test_pages_have_no_script_or_style_of_their_own(site):
    """What the policy would forbid isn't there: no inline script, handler or style."""
    for page in _pages(site.story):
        text = (await site.operator.get(page)).text
        assert "<style" not in text
        assert " style=" not in text
        assert " onclick" not in text
        assert "<script>" not in text
        assert "http://" not in text.replace("http://seawall.test", ""), page
        assert "https://" not in text, page


async def test_errors_are_paged_to_the_end(site):
    """Following the links gives every error once."""
    for n in range(120):
        await site.manager.log_error_details("flights-1", ValueError(f"number {n} of many"))
    seen, page = [], "/errors?text=of+many"
    while page:
        text = (await site.viewer.get(page)).text
        seen += [part.split(" of many")[0] for part in text.split("number ")[1:]]
        page = _next(text)
    assert sorted(map(int, seen)) == list(range(120))


def _next(text):
    before = text.partition('rel="next" href="')[2]
    return before.partition('"')[0].replace("&amp;", "&") or None


async def test_app_mounted_under_a_path_keeps_to_it(database_dsn):
    """Links, forms, cookies and redirects stay under the path that it is mounted at."""
    async with managed(database_dsn) as manager:
        app = Starlette(routes=[Mount("/tools/seawall", app_of(manager))])
        async with signed_in(app, OPERATOR, "/tools/seawall") as client:
            (cookie, *_) = client.cookies.jar
            assert cookie.path == "/tools/seawall"
            text = (await client.get("/tools/seawall/breakers")).text
            for part in text.split('href="')[1:] + text.split('src="')[1:]:
                assert part.startswith(("/tools/seawall/", "#main")), part[:40]
            assert (await client.get("/tools/seawall/static/nothing")).status_code == 404
            assert (await client.get("/tools/seawall/static/seawall.css")).status_code == 200


async def test_database_gone_is_a_page_that_says_so(database_dsn, test_server):
    """Not a stack; and the next request works once it is back."""
    async with managed(database_dsn, connect_timeout=2) as manager:
        app = app_of(manager)
        async with signed_in(app, OPERATOR) as client:
            await client.get("/breakers")
            admin = await asyncpg.connect(test_server.dsn)
            name = database_dsn.rpartition("/")[2].partition("?")[0]
            try:
                await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
                await admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
                    name,
                )
                answer = await client.get("/breakers")
                assert answer.status_code == 503
                assert "Traceback" not in answer.text
            finally:
                await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
                await admin.close()
            assert (await client.get("/breakers")).status_code == 200


async def test_fault_of_ours_shows_nothing_of_itself(site, monkeypatch):
    async def broken(*_args, **_options):
        raise LookupError(SECRET)

    monkeypatch.setattr("seawall.postgres.breaker_reports.breakers", broken)
    answer = await site.operator.get("/breakers")
    assert answer.status_code == 500
    assert SECRET not in answer.text
    assert "the log says more" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


async def test_own_sign_in_decides_who_looks(database_dsn):
    """With ``authenticate`` the user is the application's; there is no page to sign in."""
    from seawall.dashboard import User

    async def authenticate(request):
        name = request.headers.get("x-user")
        return User(name, request.headers["x-role"]) if name else None

    async with managed(database_dsn) as manager:
        app = app_of(manager, tokens=None, authenticate=authenticate, secret="s" * 32)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://seawall.test"
        ) as client:
            assert (await client.get("/")).status_code == 401
            assert (await client.get("/sign-in")).status_code == 404
            assert (await client.post("/sign-in", data={"token": "x"})).status_code == 403
            viewer = {"x-user": "ann", "x-role": "viewer"}
            assert "ann, viewer" in (await client.get("/", headers=viewer)).text
            assert (await client.post("/breaker/force", headers=viewer)).status_code == 403
