"""Signing in and out, and what a cookie is good for."""

from datetime import timedelta

import pytest

from seawall import ErrorRecoveryManager
from seawall.clock import utc_now
from seawall.dashboard import User, access, app, dashboard_app
from seawall.dashboard.access import SESSION
from seawall.errors import InvalidConfigError
from support.dashboard import OPERATOR, TOKENS, VIEWER, app_of, client_of, signed_in


@pytest.fixture
def manager():
    return ErrorRecoveryManager("postgresql://nobody@127.0.0.1:1/none")


@pytest.fixture
def no_waiting(monkeypatch):
    async def sleep(_seconds):
        return None

    monkeypatch.setattr(app.MACHINE_CLOCK, "sleep", sleep)


async def test_sign_in_wrong_token_is_refused(manager, no_waiting):
    async with client_of(app_of(manager)) as client:
        for token in ("", "x", OPERATOR[:-1], OPERATOR + "x", OPERATOR.upper()):
            answer = await client.post("/sign-in", data={"token": token})
            assert answer.status_code == 403
            assert SESSION not in client.cookies
            assert "That is no token" in answer.text


async def test_sign_in_from_another_page_is_refused(manager):
    async with client_of(app_of(manager)) as client:
        answer = await client.post(
            "/sign-in", data={"token": OPERATOR}, headers={"sec-fetch-site": "cross-site"}
        )
        assert answer.status_code == 403
        assert SESSION not in client.cookies


async def test_session_cookie_is_closed_to_scripts_and_other_sites(manager):
    async with client_of(app_of(manager)) as client:
        answer = await client.post("/sign-in", data={"token": OPERATOR})
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "secure" not in cookie
    async with client_of(app_of(manager)) as client:
        client.base_url = "https://seawall.test"
        answer = await client.post("/sign-in", data={"token": OPERATOR})
        assert "secure" in answer.headers["set-cookie"].lower()


async def _may_look(client):
    return (await client.get("/sign-out-is-no-page")).status_code, (
        await client.get("/record/edit")
    ).status_code


async def test_session_that_was_changed_is_none(manager):
    """Another name, another end, another signature, garbage."""
    async with signed_in(app_of(manager), VIEWER) as client:
        good = client.cookies[SESSION]
        head, _, tail = good.partition(".")
        operator = app_of(manager)
        other = access.Access({OPERATOR: User("olga", "operator")}, None, None).session(
            TOKENS[OPERATOR]
        )
        assert operator is not None
        assert (await client.get("/record/edit?id=1")).status_code == 403  # a viewer
        bad = [
            head, f"{head}.", f".{tail}", f"{head}.{tail[:-3]}AAA", f"{other.partition('.')[0]}.{tail}",
            "a.b", "ä.ö", "....", "=" * 50, good[::-1],
        ]  # fmt: skip
        for cookie in bad:
            client.cookies.clear()
            answer = await client.get(
                "/record/edit?id=1", headers={"cookie": f"{SESSION}={cookie}".encode()}
            )
            assert answer.status_code == 303, cookie
        # One whose token is the same is a session in every process.
        client.cookies.clear()
        answer = await client.get("/record/edit?id=1", headers={"cookie": f"{SESSION}={other}"})
        assert answer.status_code != 303


async def test_session_ends_after_twelve_hours_and_with_its_token(manager, monkeypatch):
    async with signed_in(app_of(manager), VIEWER) as client:
        good = client.cookies[SESSION]
        headers = {"cookie": f"{SESSION}={good}"}
        client.cookies.clear()
        later = utc_now() + timedelta(hours=12, seconds=1)
        monkeypatch.setattr(access, "utc_now", lambda: later)
        assert (await client.get("/record/edit", headers=headers)).status_code == 303
        monkeypatch.undo()
        assert (await client.get("/record/edit", headers=headers)).status_code == 403
    changed = app_of(manager, tokens={"v" * 30: User("victor"), OPERATOR: TOKENS[OPERATOR]})
    async with client_of(changed) as client:
        assert (await client.get("/record/edit", headers=headers)).status_code == 303


async def test_sign_out_takes_the_session_away(manager):
    async with signed_in(app_of(manager), OPERATOR) as client:
        answer = await client.post("/sign-out", headers={"sec-fetch-site": "cross-site"})
        assert answer.status_code == 403
        assert SESSION in client.cookies
        await client.post("/sign-out", headers={"sec-fetch-site": "same-origin"})
        assert SESSION not in client.cookies
        assert (await client.get("/")).status_code == 303


async def test_manager_that_is_not_started_is_a_page_that_says_so(manager):
    async with signed_in(app_of(manager), OPERATOR) as client:
        answer = await client.get("/breakers")
        assert answer.status_code == 503
        assert "not started" in answer.text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "nobody could sign in"),
        ({"tokens": {}}, "nobody could sign in"),
        ({"tokens": TOKENS, "authenticate": client_of}, "must be one of them"),
        ({"tokens": {"short": User("ann")}}, "at least 20 characters"),
        ({"tokens": {"a" * 20: User("ann"), "b" * 20: User("ann")}}, "different names"),
    ],
)
def test_dashboard_nobody_could_use_is_refused(manager, options, said):
    with pytest.raises(InvalidConfigError, match=said):
        dashboard_app(manager, **options)


@pytest.mark.parametrize(("name", "role"), [("", "viewer"), (" ", "viewer"), ("ann", "root")])
def test_user_that_is_none_is_refused(name, role):
    with pytest.raises(InvalidConfigError, match="must"):
        User(name, role)
