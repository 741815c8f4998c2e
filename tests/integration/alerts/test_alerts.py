"""Alerts over the real database, received by a real HTTP server: each thing once."""

import asyncio

import asyncpg
import pytest

from seawall import Alertmanager, Apprise, ErrorRecoveryManager, Severity, Webhook
from seawall.alerts import AlertDesk, Signal
from seawall.alerts.receiver import Receivers
from seawall.config import RecoveryConfig
from seawall.errors import InvalidConfigError
from seawall.events import BreakerTransition
from seawall.postgres.alert_store import PostgresAlertStore
from seawall.postgres.database import Database
from support.http_receiver import http_receiver


@pytest.fixture
async def database(database_dsn):
    database = Database(database_dsn, config=RecoveryConfig())
    await database.start()
    yield database
    await database.aclose()


def desk_of(database, *receivers, owner="worker", least=Severity.INFO, **options):
    chosen = Receivers()
    for receiver in receivers:
        chosen.add(receiver, least)
    options = {"group_seconds": 0.0, **options}
    return AlertDesk(PostgresAlertStore(database), owner, chosen, **options)


def transition(to_state, epoch, service="billing"):
    return BreakerTransition(
        service_name=service, from_state="x", to_state=to_state, epoch=epoch, reason="5 failures"
    )


async def pass_time(database, seconds):
    """As if so many seconds had passed for alerts."""
    async with database.acquire() as connection:
        for table, column in (
            ("alerts", "quiet_at"), ("alerts", "repeat_at"), ("alert_notifications", "due_at"),
            ("alert_notifications", "lease_until"),
        ):  # fmt: skip
            await connection.execute(
                f"UPDATE seawall.{table} SET {column} = {column} - $1 * interval '1 s'", seconds
            )


async def test_alert_of_a_fleet_of_eight_is_told_once_and_resolved_once(database):
    async with http_receiver() as server:
        desks = [desk_of(database, Webhook(server.url), owner=f"w{n}") for n in range(8)]
        for desk in desks:
            desk.hear(transition("open", 1))
        await asyncio.gather(*(desk.flush() for desk in desks))
        await asyncio.gather(*(desk.deliver() for desk in desks))
        (first,) = server.bodies
        assert first["kind"] == "firing"
        assert first["title"] == "Circuit breaker of billing is open"
        assert first["alerts"][0]["count"] == 8
        for desk in desks:
            desk.hear(transition("half_open", 2))
            desk.hear(transition("closed", 3))
        await asyncio.gather(*(desk.flush() for desk in desks))
        await desks[3].deliver()
        assert len(server.bodies) == 1  # an all-clear must last before it is told
        await pass_time(database, 61)
        await asyncio.gather(*(desk.deliver() for desk in desks))
        assert [body["kind"] for body in server.bodies] == ["firing", "resolved"]
        assert server.bodies[1]["title"] == "Resolved: Circuit breaker of billing is open"


async def test_alert_that_comes_and_goes_is_told_once(database):
    async with http_receiver() as server:
        desk = desk_of(database, Webhook(server.url))
        for epoch in range(1, 12, 2):
            desk.hear(transition("open", epoch))
            desk.hear(transition("closed", epoch + 1))
            await desk.flush()
            await desk.deliver()
        assert [body["kind"] for body in server.bodies] == ["firing"]


async def test_alert_late_message_of_an_older_epoch_changes_nothing(database):
    desk = desk_of(database)
    desk.hear(transition("open", 5))
    await desk.flush()
    desk.hear(transition("closed", 6))
    await desk.flush()
    desk.hear(transition("open", 3))
    await desk.flush()
    (alert,) = await desk.store.list(state=None, limit=10)
    assert alert.state == "resolving"


async def test_alert_begins_a_new_episode_when_it_returns(database):
    async with http_receiver() as server:
        desk = desk_of(database, Webhook(server.url))
        for epoch in (1, 3):
            desk.hear(transition("open", epoch))
            desk.hear(transition("closed", epoch + 1))
            await desk.flush()
            await desk.deliver()
            await pass_time(database, 61)
            await desk.deliver()
        assert [body["kind"] for body in server.bodies] == ["firing", "resolved"] * 2
        assert [body["alerts"][0]["episode"] for body in server.bodies] == [1, 1, 2, 2]


async def test_alert_delivery_that_fails_is_tried_again_with_the_same_key(database):
    async with http_receiver([500, 503]) as server:
        desk = desk_of(database, Webhook(server.url))
        desk.signal(Signal(key="k", rule="r", title="t"))
        await desk.flush()
        for _ in range(3):
            await desk.deliver()
            await pass_time(database, 60)
        (_, headers, body) = server.requests[0]
        keys = {headers["idempotency-key"], body["dedup_key"]}
        assert len(keys) == 1
        async with database.acquire() as connection:
            row = await connection.fetchrow("SELECT * FROM seawall.alert_notifications")
        assert (row["status"], row["attempts"], row["last_error"]) == ("sent", 3, None)


async def test_alert_taken_by_a_worker_that_died_is_told_by_another(database):
    async with http_receiver() as server:
        dead, other = desk_of(database, owner="dead"), desk_of(database, Webhook(server.url))
        other.signal(Signal(key="k", rule="r", title="t"))
        await other.flush()
        await other.store.plan({"webhook": Severity.INFO}, group_seconds=0, repeat_seconds=3600)
        assert len(await dead.store.take("webhook", "dead", 60, 0)) == 1
        await other.deliver()
        assert server.bodies == []
        await pass_time(database, 61)
        await other.deliver()
        assert len(server.bodies) == 1


async def test_alerts_of_one_rule_and_pipeline_go_together(database):
    async with http_receiver() as server:
        desk = desk_of(database, Webhook(server.url))
        for n in range(5):
            desk.signal(Signal(key=f"k{n}", rule="new_pattern", title=f"t{n}", pipeline_id="p"))
        desk.signal(Signal(key="other", rule="new_pattern", title="o", pipeline_id="q"))
        await desk.flush()
        await desk.deliver()
        assert sorted(len(body["alerts"]) for body in server.bodies) == [1, 5]
        assert "5 alerts: new_pattern" in {body["title"] for body in server.bodies}


async def test_silenced_alert_is_kept_and_not_told(database):
    async with http_receiver() as server:
        desk = desk_of(database, Webhook(server.url))
        silence = await desk.store.silence({"service": "billing"}, 60, "anna", "maintenance")
        desk.hear(transition("open", 1))
        desk.hear(transition("open", 1, service="search"))
        await desk.flush()
        await desk.deliver()
        assert [body["alerts"][0]["labels"]["service"] for body in server.bodies] == ["search"]
        async with database.acquire() as connection:
            rows = await connection.fetch("SELECT status FROM seawall.alert_notifications")
            assert sorted(row["status"] for row in rows) == ["sent", "silenced"]
            actions = await connection.fetch("SELECT actor, action FROM seawall.audit_log")
        assert [tuple(row) for row in actions] == [("anna", "alerts silenced")]
        assert await desk.store.end_silence(silence, "anna", "done")
        assert not await desk.store.end_silence(silence, "anna", "again")


async def test_alert_that_lasts_is_repeated(database):
    async with http_receiver() as server:
        desk = desk_of(database, Webhook(server.url), repeat_seconds=3600.0)
        desk.signal(Signal(key="k", rule="r", title="t"))
        await desk.flush()
        for _ in range(3):
            await desk.deliver()
        await pass_time(database, 3601)
        await desk.deliver()
        assert [body["kind"] for body in server.bodies] == ["firing", "repeated"]


async def test_alert_without_all_clear_is_over_when_it_was_quiet(database):
    desk = desk_of(database)
    desk.signal(Signal(key="k", rule="r", title="t", quiet_seconds=3600))
    await desk.flush()
    await pass_time(database, 3601)
    await desk.deliver()
    (alert,) = await desk.store.list(state="resolved", limit=10)
    assert alert.resolved_at is not None


async def test_quarantine_that_grows_raises_an_alert(database_dsn):
    """More than usual, not merely many: the usual is the mean of the week before."""
    async with ErrorRecoveryManager(database_dsn, pipeline_id="p") as manager:
        bad = [{"n": n} for n in range(120)]
        await manager.quarantine_bad_records("r", bad, "no such customer")
        desk = manager._services.analytics.alerts
        await desk.watch_quarantine()
        (alert,) = await manager.list_alerts(state="firing")
        assert alert.rule == "quarantine_growth"
        assert "120 records" in alert.message
        assert "no such customer" in alert.message
        async with manager.database.acquire() as connection:
            await connection.execute("DELETE FROM seawall.alerts")
            await connection.execute(
                "INSERT INTO seawall.quarantine_counts "
                "SELECT 'p', current_date - n, current_date - n, 'x', 100, 0 "
                "FROM generate_series(1, 7) n"
            )
        await desk.watch_quarantine()
        assert await manager.list_alerts(state="firing") == []


async def test_alert_below_the_receivers_severity_is_not_told(database):
    async with http_receiver() as server:
        desk = desk_of(database, Webhook(server.url), least=Severity.CRITICAL)
        desk.signal(Signal(key="k", rule="r", title="t", severity=Severity.WARNING))
        desk.signal(Signal(key="c", rule="r", title="c", severity=Severity.CRITICAL))
        await desk.flush()
        await desk.deliver()
        assert [body["title"] for body in server.bodies] == ["c"]


async def test_signals_are_kept_while_the_database_is_away(database):
    desk = desk_of(database)
    for _ in range(1000):
        desk.signal(Signal(key="k", rule="r", title="t"))
    await database.aclose()
    with pytest.raises(Exception, match="not started"):
        await desk.flush()
    desk.signal(Signal(key="k", rule="r", title="t"))
    await database.start()
    await desk.flush()
    (alert,) = await desk.store.list(state="firing", limit=10)
    assert alert.count == 1001


async def test_alertmanager_gets_its_own_form(database):
    async with http_receiver() as server:
        desk = desk_of(database, Alertmanager(server.url.removesuffix("/hook")))
        desk.hear(transition("open", 1))
        await desk.flush()
        await desk.deliver()
        ((path, _, (alert,)),) = server.requests
        assert path == "/api/v2/alerts"
        assert alert["labels"]["alertname"] == "breaker_opened"
        assert alert["labels"]["service"] == "billing"
        assert alert["startsAt"] < alert["endsAt"]


async def test_apprise_sends_to_a_real_server(database):
    async with http_receiver() as server:
        desk = desk_of(database, Apprise(server.url.replace("http://", "json://")))
        desk.hear(transition("open", 1))
        await desk.flush()
        await desk.deliver()
        (body,) = server.bodies
        assert body["title"] == "Circuit breaker of billing is open"
    with pytest.raises(InvalidConfigError, match="form") as refused:
        Apprise("nonsense secret-token")
    assert "secret-token" not in str(refused.value)


async def test_manager_that_fails_alone_tells_before_it_ends(database_dsn):
    """A nightly job is the only worker: nobody else would tell that it failed."""
    async with http_receiver() as server:
        manager = ErrorRecoveryManager(database_dsn, pipeline_id="nightly")
        manager.alert_to(Webhook(server.url))
        with pytest.raises(ValueError, match="bad file"):
            async with manager, manager.run("nightly"):
                raise ValueError("bad file password=hunter2")
        (body,) = server.bodies
        assert body["title"] == "A run of nightly failed"
        assert "hunter2" not in str(body)
        async with manager, manager.run("nightly"):
            pass
    connection = await asyncpg.connect(database_dsn)
    state = await connection.fetchval("SELECT state FROM seawall.alerts WHERE rule = 'run_failed'")
    await connection.close()
    assert state == "resolving"


async def test_manager_alerts_of_your_own(database_dsn):
    async with ErrorRecoveryManager(database_dsn) as manager:
        await manager.raise_alert("late", "The file is late", severity="critical")
        (alert,) = await manager.list_alerts(state="firing")
        assert (alert.title, alert.severity) == ("The file is late", Severity.CRITICAL)
        await manager.resolve_alert("late")
        assert await manager.list_alerts(state="firing") == []
        silence = await manager.silence_alerts({}, seconds=5, actor="anna", reason="night")
        assert await manager.end_silence(silence, actor="anna", reason="day")


def test_receivers_that_can_not_be_are_refused():
    with pytest.raises(InvalidConfigError, match="http"):
        Webhook("ftp://host")
    with pytest.raises(InvalidConfigError, match="letters"):
        Webhook("http://host", name="a b")
    receivers = Receivers()
    receivers.add(Webhook("http://a"), Severity.INFO)
    with pytest.raises(InvalidConfigError, match="another name"):
        receivers.add(Webhook("http://b"), Severity.INFO)
