"""``run.step``: called once in a run, however often that is started."""

import asyncio
import functools
from decimal import Decimal

import pytest

from seawall import ErrorRecoveryManager, retry
from seawall.errors import CodecError, StaleRunError, StepError, TransactionEndedError
from seawall.events import StepEnded
from seawall.postgres.step_store import PostgresStepStore
from support.proxy import Proxy, target_of, through


class Counted:
    """Async functions that count their calls."""

    def __init__(self):
        self.calls = 0

    async def add(self, a, b=1):
        self.calls += 1
        return {"sum": Decimal(a + b), "call": self.calls}

    async def fail(self, times=99):
        self.calls += 1
        if self.calls <= times:
            raise ConnectionError("password=hunter2 refused")
        return self.calls

    async def write(self, tx, n):
        self.calls += 1
        await tx.execute("INSERT INTO effects VALUES ($1)", n)
        return n


@pytest.fixture
def counted():
    return Counted()


@pytest.fixture
async def effects(connection):
    await connection.execute("CREATE TABLE effects (n int)")

    async def fetch():
        return [row["n"] for row in await connection.fetch("SELECT n FROM effects")]

    return fetch


async def test_step_of_a_restarted_run_is_not_called_again(manager, counted, row_of):
    async with manager.run("p", "r") as run:
        first = await run.step("sum", counted.add, 1, 2)
        assert await run.step("sum", counted.add, 1, 2) == first
    async with manager.run("p", "r") as run:
        assert await run.step("sum", counted.add, 1, 2) == first
        assert await run.result_of("sum") == first == {"sum": Decimal(3), "call": 1}
    assert counted.calls == 1
    async with manager.run("p", "another") as run:
        assert (await run.step("sum", counted.add, 1, 2))["call"] == 2
    row = await row_of("sum")
    assert (row["status"], row["attempts"], row["lease_until"]) == ("done", 1, None)


async def test_step_of_a_plain_function_runs_in_a_thread(manager):
    async with manager.run("p", "r") as run:
        assert await run.step("sum", functools.partial(sum, start=4), [1, 2]) == 7


async def test_step_that_fails_is_called_again_and_its_last_failure_is_on_record(
    manager, counted, row_of
):
    async with manager.run("p", "r") as run:
        with pytest.raises(ConnectionError):
            await run.step("get", counted.fail, 1)
        row = await row_of("get")
        assert (row["status"], row["attempts"], row["error_type"]) == ("failed", 1, "transient")
        assert row["error_message"].startswith("ConnectionError: ")
        assert "hunter2" not in row["error_message"]
        with pytest.raises(StepError, match="no kept result: it is failed; last failure: Conn"):
            await run.result_of("get")
        assert await run.step("get", counted.fail, 1) == 2
    row = await row_of("get")
    assert (row["status"], row["attempts"], row["error_message"]) == ("done", 2, None)


async def test_step_with_retry_options_is_retried_under_the_managers_policy(
    manager, counted, row_of
):
    async with manager.run("p", "r") as run:
        assert await run.step("get", counted.fail, 2, retry_options={"initial_delay": 0}) == 3
        counted.calls = 0
        with pytest.raises(ConnectionError):
            await run.step(
                "more", counted.fail, retry_options={"initial_delay": 0, "max_retries": 1}
            )
    assert [(await row_of(step))["attempts"] for step in ("get", "more")] == [3, 2]


async def test_step_transactional_commits_its_work_with_its_result(manager, counted, effects):
    async with manager.run("p", "r") as run:
        with pytest.raises(CodecError) as refused:
            await run.step("odd", _write_and_return_object, transactional=True)
        assert "its work is rolled back" in refused.value.__notes__[0]
        for _ in range(2):
            assert await run.step("write", counted.write, 7, transactional=True) == 7
    assert await effects() == [7]


async def _write_and_return_object(tx):
    await tx.execute("INSERT INTO effects VALUES (1)")
    return object()


async def test_step_transactional_that_fails_leaves_nothing(manager, effects):
    async def write(tx):
        await tx.execute("INSERT INTO effects VALUES (1)")
        await tx.publish("t", 1)
        raise ZeroDivisionError

    async with manager.run("p", "r") as run:
        with pytest.raises(ZeroDivisionError):
            await run.step("write", write, transactional=True)
    assert await effects() == []
    assert await manager.count_messages() == []


@pytest.mark.parametrize("cut", ["commit-lost", "commit-answer"])
@pytest.mark.parametrize("retry_options", [None, {"initial_delay": 0}])
async def test_step_transactional_whose_commit_is_cut_off_is_settled(
    database_dsn, counted, effects, cut, retry_options
):
    """Asked for, not guessed: the work is there once, and with it the result."""
    async with (
        Proxy(target_of(database_dsn)) as proxy,
        ErrorRecoveryManager(through(database_dsn, proxy.port)) as manager,
        manager.run("p", "r") as run,
    ):
        proxy.cut_on = cut
        step = functools.partial(run.step, "write", counted.write, 7, transactional=True)
        if cut == "commit-lost" and retry_options is None:
            with pytest.raises(Exception, match=r"connection|reset"):
                await step()
            assert await effects() == []
        assert await step(retry_options=retry_options) == 7
        assert proxy.cuts == 1
    assert await effects() == [7]
    assert counted.calls == (1 if cut == "commit-answer" else 2)


async def test_step_transactional_that_could_not_be_settled_is_not_done_twice_by_a_retry(
    database_dsn, counted, effects, monkeypatch
):
    """The work is done again, and rolled back, since its first result is there."""
    async with (
        Proxy(target_of(database_dsn)) as proxy,
        ErrorRecoveryManager(through(database_dsn, proxy.port)) as manager,
        manager.run("p", "r") as run,
    ):
        settled = PostgresStepStore._settled
        asked = []

        async def out_of_reach_once(self, claim):
            asked.append(claim)
            if len(asked) == 1:
                raise ConnectionError("gone")
            return await settled(self, claim)

        monkeypatch.setattr(PostgresStepStore, "_settled", out_of_reach_once)
        proxy.cut_on = "commit-answer"
        result = await run.step(
            "write", counted.write, 7, transactional=True, retry_options={"initial_delay": 0}
        )
        assert result == 7
    assert (await effects(), counted.calls, len(asked)) == ([7], 2, 2)


async def test_step_whose_saving_is_cut_off_keeps_its_result(database_dsn, counted, row_of):
    async with (
        Proxy(target_of(database_dsn)) as proxy,
        ErrorRecoveryManager(
            through(database_dsn, proxy.port), config={"initial_delay": 0.01}
        ) as manager,
        manager.run("p", "r") as run,
    ):

        async def work():
            proxy.cut_at, proxy.deliver = proxy.messages + 2, True
            return (await counted.add(1))["call"]

        assert await run.step("sum", work) == 1
        assert proxy.cuts == 1
    row = await row_of("sum")
    assert (counted.calls, row["status"], row["attempts"]) == (1, "done", 1)


async def test_step_called_in_two_workers_of_a_run_runs_in_one(database_dsn, manager, counted):
    async def slow():
        counted.calls += 1
        await asyncio.sleep(0.2)
        return counted.calls

    async with (
        ErrorRecoveryManager(database_dsn) as other,
        manager.run("p", "r") as one,
        other.run("p", "r") as two,
    ):
        results = await asyncio.gather(*(run.step("slow", slow) for run in (one, two, one, two)))
    assert results == [1, 1, 1, 1]


async def test_step_cancelled_is_free_at_once_and_counts_no_attempt(manager, row_of):
    began = asyncio.Event()

    async def hang():
        began.set()
        await asyncio.Event().wait()

    async with manager.run("p", "r") as run:
        task = asyncio.ensure_future(run.step("hang", hang))
        await began.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        row = await row_of("hang")
        assert (row["status"], row["attempts"], row["lease_until"]) == ("waiting", 0, None)


async def test_step_forgotten_is_called_again_and_its_runner_is_refused(manager, counted):
    began, go_on = asyncio.Event(), asyncio.Event()

    async def slow():
        began.set()
        await go_on.wait()
        return "old"

    async with manager.run("p", "r") as run:
        assert not await run.forget_step("sum")
        await run.step("sum", counted.add, 1)
        assert await run.forget_step("sum")
        assert (await run.step("sum", counted.add, 1, 1))["call"] == 2
        task = asyncio.ensure_future(run.step("slow", slow))
        await began.wait()
        assert await run.forget_step("slow")
        assert (await run.step("slow", counted.add, 1))["call"] == 3
        go_on.set()
        with pytest.raises(StaleRunError, match="'slow' of run 'r' was taken over"):
            await task
        assert (await run.result_of("slow"))["call"] == 3


async def test_step_of_another_call_under_its_name_is_refused_and_warned_of_after_a_restart(
    manager, counted, caplog
):
    async with manager.run("p", "r") as run:
        await run.step("sum", counted.add, 1)
        with pytest.raises(StepError, match="two different calls: .*add was called with other arg"):
            await run.step("sum", counted.add, 2)
        with pytest.raises(StepError, match=r"Counted.add was called, now it is .*Counted.fail"):
            await run.step("sum", counted.fail, 1)
    async with manager.run("p", "r") as run:
        assert (await run.step("sum", counted.add, 2))["sum"] == 2
    (warning,) = [each for each in caplog.records if each.name == "seawall.steps"]
    assert "kept of another call" in warning.getMessage()


async def test_step_whose_result_is_not_the_codecs_or_too_large_says_so(manager, row_of):
    async with manager.run("p", "r") as run:
        with pytest.raises(CodecError) as refused:
            await run.step("object", lambda: object())
        assert "would be done again by the next call" in refused.value.__notes__[0]
        with pytest.raises(StepError, match=r"takes 1,048,579 bytes, and 1,048,576 are kept"):
            await run.step("large", lambda: "x" * 1_048_577)
        assert await run.step("fits", lambda: "x" * 1_048_574)
    assert (await row_of("large"))["status"] == "failed"


async def test_step_that_calls_itself_is_refused(manager):
    async with manager.run("p", "r") as run:

        async def recursive():
            return await run.step("again", recursive)

        with pytest.raises(StepError, match="'again' calls itself"):
            await run.step("again", recursive)


async def test_step_outside_of_its_run_is_refused(manager, counted):
    run = manager.run("p", "r")
    with pytest.raises(StepError, match="run 'r' is not open"):
        await run.step("sum", counted.add, 1)
    async with run:
        pass
    with pytest.raises(StepError, match="is not open"):
        await run.result_of("sum")


@pytest.mark.parametrize("name", ["", "x" * 201, "a\x00b", 7])
async def test_step_name_that_is_none_is_refused(manager, counted, name):
    async with manager.run("p", "r") as run:
        with pytest.raises(ValueError, match="1 to 200 characters"):
            await run.step(name, counted.add, 1)


async def test_step_transactional_of_a_plain_function_is_refused(manager):
    async with manager.run("p", "r") as run:
        with pytest.raises(ValueError, match="must be an async function"):
            await run.step("x", print, transactional=True)


async def test_step_errors_inside_carry_its_scope(manager, connection):
    async def work():
        await manager.log_error_details("r", ValueError("x"))

    async with manager.run("p", "r") as run:
        await run.step("work", work)
    row = await connection.fetchrow("SELECT run_id, step FROM seawall.error_details")
    assert tuple(row) == ("r", "work")


async def test_step_in_an_outer_retry_is_not_made_twice_by_it(manager, counted):
    async with manager.run("p", "r") as run:

        @retry(max_retries=3, initial_delay=0)
        async def both():
            await run.step("sum", counted.add, 1)
            counted.calls += 10
            if counted.calls < 20:
                raise ConnectionError

        await both()
    assert counted.calls == 21


@pytest.mark.parametrize("ending", ["ROLLBACK", "COMMIT"])
async def test_step_that_ends_its_transaction_keeps_no_result(manager, effects, row_of, ending):
    """Rolled back, its work would be gone, and the step done all the same."""

    async def write(tx):
        await tx.execute("INSERT INTO effects VALUES (1)")
        await tx.execute(ending)

    async with manager.run("p", "r") as run:
        with pytest.raises(TransactionEndedError, match="step 'write' of run 'r'"):
            await run.step("write", write, transactional=True)
    assert (await row_of("write"))["status"] == "failed"


async def test_step_tells_of_its_end_once_with_the_release(manager, counted):
    ends = []
    manager.bus.subscribe(lambda event: ends.append(event) if isinstance(event, StepEnded) else 0)
    async with manager.run("p", "r", release="1.4") as run:
        await run.step("sum", counted.add, 1, 2)
        await run.step("sum", counted.add, 1, 2)  # kept: no end
        with pytest.raises(ConnectionError):
            await run.step("fail", counted.fail)
        await run.step("write", counted.add, 1)
    told = [(end.scope.step, end.scope.release, end.status, end.error_type) for end in ends]
    assert told == [
        ("sum", "1.4", "succeeded", None),
        ("fail", "1.4", "failed", "transient"),
        ("write", "1.4", "succeeded", None),
    ]
    assert "hunter2" not in ends[1].message
