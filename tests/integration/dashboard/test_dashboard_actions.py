"""What operators do: it happens, it is audited, and a form from elsewhere does nothing."""

import json

import pytest

from seawall.quarantine.record import RecordFilter
from support.dashboard import PAYLOAD, SECRET, VIEWER, act, form_token_of, signed_in


async def _audit(site, action):
    async with site.manager.database.acquire() as connection:
        return await connection.fetch(
            "SELECT actor, subject, reason FROM seawall.audit_log WHERE action = $1", action
        )


async def _record(site, place=0):
    which = RecordFilter(record_ids=[site.story.record_ids[place]])
    (found,) = await site.manager.list_quarantined_records(which)
    return found


async def test_breaker_is_opened_and_closed_for_the_fleet(site):
    """Forced by a form; who and why stand in the audit log."""
    page = "/breaker?name=weather+api"
    done = await act(
        site.operator, page, "/breaker/force", name="weather api", state="open", seconds="",
        reason="the vendor asked us to",
    )  # fmt: skip
    assert done.status_code == 303
    assert done.headers["location"] == page
    shown = (await site.operator.get(page)).text
    assert "weather api is forced_open for the whole fleet" in shown
    assert "forced open" in shown
    assert "the vendor asked us to" in shown.partition("done to it by hand")[2]
    again = (await site.operator.get(page)).text
    assert "for the whole fleet." not in again  # told once
    await act(
        site.operator, page, "/breaker/force", name="weather api", state="open", seconds="60",
        reason="for a minute",
    )  # fmt: skip
    await act(
        site.operator, page, "/breaker/force", name="weather api", state="close", reason="over"
    )
    lines = await _audit(site, "circuit breaker forced")
    assert [(each["actor"], each["subject"], each["reason"]) for each in lines] == [
        ("olga", "weather api", "the vendor asked us to"),
        ("olga", "weather api", "for a minute"),
        ("olga", "weather api", "over"),
    ]


async def test_record_is_edited_then_reprocessed(site):
    """Shown whole to be edited, which is audited; the changed record is what is loaded."""
    async with site.manager.database.acquire() as connection:
        await connection.execute("CREATE TABLE names (n int PRIMARY KEY, name text)")
    record_id = site.story.record_ids[0]
    page = f"/record/edit?id={record_id}"
    whole = (await site.operator.get(page)).text
    assert SECRET in whole
    assert [each["subject"] for each in await _audit(site, "record shown whole")] == [
        str(record_id)
    ]
    text = json.dumps({"n": 7, "name": "mended"})
    done = await act(
        site.operator, page, "/record/edit", id=str(record_id), record=text, why="a typo"
    )
    assert done.status_code == 303, done.text
    record = await _record(site)
    assert record.record == {"n": 7, "name": "mended"}
    assert [edit.actor for edit in record.edits] == ["olga"]
    shown = (await site.operator.get(f"/record?id={record_id}")).text
    assert "mended" in shown
    assert PAYLOAD in shown  # as it was before
    assert "a typo" in shown
    assert [each["reason"] for each in await _audit(site, "record edited")] == ["a typo"]
    done = await act(
        site.operator, f"/record?id={record_id}", "/quarantine/reprocess", id=str(record_id),
        into="names",
    )  # fmt: skip
    assert done.status_code == 303, done.text
    async with site.manager.database.acquire() as connection:
        assert await connection.fetchval("SELECT name FROM names WHERE n = 7") == "mended"
    assert (await _record(site)).status == "reprocessed"
    assert (await _record(site, 1)).status == "pending"


async def test_filter_is_reprocessed_and_the_failures_told(site):
    """Those that fail again stay, and the page says why."""
    async with site.manager.database.acquire() as connection:
        await connection.execute(
            "CREATE TABLE names (n int CHECK (n > 0), name text, password text, note text)"
        )
    done = await act(
        site.operator, "/quarantine?run=flights-1", "/quarantine/reprocess", run="flights-1",
        into="names",
    )  # fmt: skip
    assert done.headers["location"] == "/quarantine?run=flights-1"
    shown = (await site.operator.get("/quarantine?run=flights-1")).text
    assert "2 of 3 records were loaded, 1 failed again" in shown
    assert [(await _record(site, place)).status for place in range(3)] == [
        "failed", "reprocessed", "reprocessed",
    ]  # fmt: skip


async def test_records_are_given_up_with_a_reason(site):
    """One by its page; all of a filter only where it was said to be sure."""
    first = site.story.record_ids[0]
    done = await act(
        site.operator, f"/record?id={first}", "/quarantine/discard", id=str(first), why="a test row"
    )
    assert done.status_code == 303
    assert (await _record(site)).history[-1].message == "a test row"
    assert (await _record(site, 1)).status == "pending"
    unsure = await act(
        site.operator, "/quarantine", "/quarantine/discard", why="all of them", run="flights-1"
    )
    assert unsure.status_code == 400
    assert (await _record(site, 1)).status == "pending"
    done = await act(
        site.operator, "/quarantine", "/quarantine/discard", why="all of them", sure="yes",
        text="bad value",
    )  # fmt: skip
    assert done.status_code == 303
    assert [(await _record(site, place)).status for place in range(3)] == ["discarded"] * 3
    assert len(await _audit(site, "records discarded")) == 2


async def test_filter_of_settled_records_is_refused(site):
    """It would mean open ones, which isn't what the page showed."""
    done = await act(
        site.operator, "/quarantine", "/quarantine/discard", why="x", sure="yes",
        status="reprocessed",
    )  # fmt: skip
    assert done.status_code == 400
    done = await act(site.operator, "/quarantine", "/quarantine/reprocess", status="any", into="t")
    assert done.status_code in (303, 400)
    assert [(await _record(site, place)).status for place in range(3)] == ["pending"] * 3


async def test_pattern_is_resolved_and_opened_again(site):
    (pattern,) = await site.manager.get_error_patterns("flights", 7, limit=1)
    page = f"/pattern?id={pattern.pattern_id}"
    for status in ("resolved", "ignored", "open"):
        done = await act(
            site.operator, page, "/pattern/status", id=pattern.pattern_id, status=status,
            reason=f"it is {status}",
        )  # fmt: skip
        assert done.status_code == 303, done.text
        found = await site.manager.get_error_pattern(pattern.pattern_id)
        assert found.status == status
    odd = await act(site.operator, page, "/pattern/status", id="nobody", status="open", reason="x")
    assert odd.status_code == 400


async def test_alert_is_silenced_and_the_silence_ended(site):
    done = await act(
        site.operator, "/alerts", "/alerts/silence", rule="user", hours="2", reason="known"
    )
    assert done.status_code == 303
    (silence,) = await site.manager.list_silences()
    assert (dict(silence.matchers), silence.actor) == ({"rule": "user"}, "olga")
    assert "known" in (await site.viewer.get("/alerts")).text
    await act(
        site.operator, "/alerts", "/alerts/unsilence", id=str(silence.silence_id), reason="over"
    )
    assert await site.manager.list_silences() == []
    everything = await act(site.operator, "/alerts", "/alerts/silence", hours="2", reason="x")
    assert everything.status_code == 400


_FORCE = {"name": "api", "state": "open", "reason": "x"}


async def _breakers(site):
    async with site.manager.database.acquire() as connection:
        return await connection.fetchval("SELECT count(*) FROM seawall.circuit_breaker_states")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://seawall.test.evil.example"},
    ],
)
async def test_form_from_elsewhere_does_nothing(site, headers):
    """Even with the right form token: the browser says where the form comes from."""
    token = form_token_of((await site.operator.get("/breaker?name=api")).text)
    done = await site.operator.post(
        "/breaker/force", data={**_FORCE, "form_token": token}, headers=headers
    )
    assert done.status_code == 403
    assert await _breakers(site) == 0


async def test_form_without_its_own_token_does_nothing(site):
    """None, a wrong one, another user's, another browser's."""
    own = form_token_of((await site.operator.get("/breaker?name=api")).text)
    async with signed_in(site.app, VIEWER) as other:
        other.cookies.set("seawall_form", site.operator.cookies["seawall_form"])
        foreign = own[:-2] + ("AA" if own[-2:] != "AA" else "BB")
    for sent in ({}, {"form_token": ""}, {"form_token": "x"}, {"form_token": foreign}):
        done = await site.operator.post("/breaker/force", data={**_FORCE, **sent})
        assert done.status_code == 403, sent
    cookie = site.operator.cookies["seawall_form"]
    site.operator.cookies.set("seawall_form", "another", domain="seawall.test", path="/")
    assert site.operator.cookies.get("seawall_form", domain="seawall.test") != cookie
    done = await site.operator.post("/breaker/force", data={**_FORCE, "form_token": own})
    assert done.status_code == 403
    assert await _breakers(site) == 0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"name": "api", "state": "open"}, "reason: must be given"),
        ({"name": "api", "reason": "x"}, "state: must be open or close"),
        ({"state": "open", "reason": "x"}, "name: must be given"),
        ({**_FORCE, "seconds": "0"}, "from 1 to 604800"),
        ({**_FORCE, "seconds": "1e9"}, "from 1 to 604800"),
    ],
)
async def test_form_with_wrong_values_says_what_would_be_right(site, values, said):
    done = await act(site.operator, "/breaker?name=api", "/breaker/force", **values)
    assert done.status_code == 400
    assert said in done.text
    assert await _breakers(site) == 0


async def test_form_that_is_none_is_refused(site):
    """JSON, too many bytes, too many fields."""
    shown = await site.operator.get("/breaker?name=api")
    token = form_token_of(shown.text)
    assert (await site.operator.post("/breaker/force", json=_FORCE)).status_code == 400
    large = {"form_token": token, "reason": "x" * 4_200_000}
    assert (await site.operator.post("/breaker/force", data=large)).status_code == 413
    many = {"form_token": token, **{f"f{n}": "x" for n in range(300)}}
    assert (await site.operator.post("/breaker/force", data=many)).status_code == 400


async def test_record_that_is_no_json_is_refused(site):
    record_id = site.story.record_ids[0]
    done = await act(
        site.operator, f"/record/edit?id={record_id}", "/record/edit", id=str(record_id),
        record="{not json", why="x",
    )  # fmt: skip
    assert done.status_code == 400
    assert "this is no record" in done.text
    assert (await _record(site)).edits == ()


async def test_large_record_is_shown_in_part_and_edited_elsewhere(site):
    """A page holds its beginning; a form could not send it back."""
    await site.manager.quarantine_bad_records("large", [{"text": "x" * 1_200_000}], "large")
    (record,) = await site.manager.list_quarantined_records(RecordFilter(run_id="large"))
    shown = await site.operator.get(f"/record?id={record.record_id}")
    assert "characters more" in shown.text
    assert len(shown.text) < 200_000
    refused = await site.operator.get(f"/record/edit?id={record.record_id}")
    assert refused.status_code == 400
    assert "seawall quarantine edit" in refused.text
    assert await _audit(site, "record shown whole") == []


async def test_filter_by_status_means_those_alone(site):
    """Giving up the pending ones leaves alone what has failed, and the other way round."""
    first = site.story.record_ids[0]
    async with site.manager.database.acquire() as connection:
        await connection.execute(
            "UPDATE seawall.quarantined_records SET status = 'failed' WHERE record_id = $1", first
        )
    await act(
        site.operator, "/quarantine?status=pending", "/quarantine/discard", status="pending",
        why="x", sure="yes",
    )  # fmt: skip
    found = [(await _record(site, place)).status for place in range(3)]
    assert found == ["failed", "discarded", "discarded"]
