"""Results, kinds of failures, budgets, hooks, records and nested deadlines."""

import asyncio

import pytest
import tenacity

from seawall.classification import ErrorType
from seawall.deadline import current_deadline
from seawall.errors import DeadlineExceededError, InvalidConfigError, RetryBudgetExhaustedError
from seawall.retry import (
    FailedAttempt,
    Jitter,
    RetryBudget,
    RetryPolicy,
    RetryStrategy,
    StopReason,
    call,
    record_calls,
    retry,
    retrying,
)
from support.operations import RecordingBus, Script


@pytest.fixture
def policy(clock):
    def make(**options):
        defaults = {"initial_delay": 1, "jitter_range": 0, "clock": clock}
        return RetryPolicy(**(defaults | options))

    return make


class Throttled(Exception):
    status_code = 429


class Odd(Exception):
    pass


class TestResults:
    async def test_unwanted_result_is_retried(self, policy):
        operation = Script(None, None, "rows")
        under = policy(retry_if_result=lambda rows: rows is None)
        assert await call(under, operation) == "rows"
        assert operation.gaps == [1, 2]

    async def test_last_result_is_returned_when_retries_are_used_up(self, policy):
        operation = Script(None)
        bus = RecordingBus()
        under = policy(retry_if_result=lambda rows: rows is None, max_retries=2, bus=bus)
        with record_calls() as calls:
            assert await call(under, operation) is None
        assert operation.count == 3
        assert (calls[0].attempts, calls[0].stop_reason) == (3, StopReason.MAX_RETRIES)
        assert bus.names == ["RetryScheduled"] * 2 + ["RetryExhausted"]
        assert bus.events[0].exception_type == "(result)"

    async def test_results_and_failures_share_their_retries(self, policy):
        operation = Script(None, ConnectionError, None, "rows")
        under = policy(retry_if_result=lambda rows: rows is None, max_retries=2)
        assert await call(under, operation) is None
        assert operation.count == 3

    async def test_deadline_holds_for_results(self, policy):
        operation = Script(None)
        under = policy(retry_if_result=lambda rows: rows is None, deadline=5, max_retries=9)
        assert await call(under, operation) is None
        assert operation.count == 3


class TestKinds:
    async def test_each_error_type_has_its_own_waits_and_retries(self, policy):
        under = policy(
            by_error_type={
                ErrorType.TRANSIENT: {"initial_delay": 0.1, "max_retries": 5},
                "unknown": {"strategy": "fixed_delay", "initial_delay": 7, "max_retries": 1},
            }
        )
        transient, unknown = Script(ConnectionError), Script(Odd)
        with pytest.raises(ConnectionError):
            await call(under, transient)
        with pytest.raises(Odd):
            await call(under, unknown)
        assert transient.gaps == [0.1, 0.2, 0.4, 0.8, 1.6]
        assert unknown.gaps == [7]

    async def test_throttling_backs_off_longer(self, policy):
        under = policy(throttled={"initial_delay": 30})
        operation = Script(ConnectionError, Throttled, ConnectionError, "rows")
        assert await call(under, operation) == "rows"
        assert operation.gaps == [1, 60, 4]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"by_error_type": {"odd": {}}}, "by_error_type='odd': must be one of transient"),
            ({"by_error_type": {ErrorType.DATA: 5}}, "5: must be a mapping"),
            ({"throttled": {"deadline": 5}}, "'deadline' can't differ"),
            ({"throttled": {"initial_delay": -1}}, "initial_delay=-1"),
            ({"jitter": "some"}, "jitter='some': must be one of none, spread, full"),
            ({"budget": 5}, "budget=5: must be a RetryBudget or the name of one"),
            ({"retry_if_result": 5}, "retry_if_result=5: must be a plain function"),
            ({"on_give_up": asyncio.sleep}, "on_give_up=.*: must be a plain function"),
        ],
    )
    def test_option_that_is_wrong_is_refused(self, options, message):
        with pytest.raises(InvalidConfigError, match=message):
            RetryPolicy(**options)

    async def test_strategies_and_jitters_are_those_of_the_policy(self, policy):
        operation = Script(ConnectionError)
        under = policy(strategy=RetryStrategy.FIBONACCI_BACKOFF, jitter=Jitter.NONE, max_retries=5)
        with pytest.raises(ConnectionError):
            await call(under, operation)
        assert operation.gaps == [1, 1, 2, 3, 5]


class TestBudget:
    async def test_budget_ends_retries_and_leaves_first_attempts(self, policy):
        budget = RetryBudget("api", capacity=3, ratio=0.5)
        under = policy(budget=budget, initial_delay=0, max_retries=2)
        broken = Script(ConnectionError)
        for _ in range(4):
            with pytest.raises(ConnectionError) as failed:
                await call(under, broken)
        assert broken.count == 4 + 3
        assert "gave up after 1 attempt" in failed.value.__notes__[0]
        assert failed.value.__notes__[0].endswith("budget_exhausted")

    async def test_budget_is_filled_by_successes_up_to_its_capacity(self, policy):
        budget = RetryBudget("api", capacity=3, ratio=0.5)
        call_ = retry(policy(budget=budget))(Script("rows"))
        budget.tokens = 0.0
        for _ in range(3):
            await call_()
        assert budget.tokens == 1.5
        for _ in range(10):
            await call_()
        assert budget.tokens == 3

    async def test_retried_success_fills_too(self, policy):
        budget = RetryBudget("api", capacity=3, ratio=0.5)
        await call(policy(budget=budget), Script(ConnectionError, "rows"))
        assert budget.tokens == 2.5
        with_deadline = policy(budget=budget, deadline=60)
        await call(with_deadline, Script("rows"))
        assert budget.tokens == 3

    async def test_budget_of_one_name_is_one_in_the_process(self, policy):
        """Trap 25: not one a decorator."""
        one, two = (retry(policy(budget="of-a-test"))(Script(ConnectionError)) for _ in range(2))
        shared = RetryBudget.of("of-a-test")
        shared.tokens = 3.0
        for each in (one, two, one):
            with pytest.raises(ConnectionError):
                await each()
        assert shared.tokens == 0
        with pytest.raises(InvalidConfigError, match="capacity=7: the retry budget 'of-a-test'"):
            RetryBudget.of("of-a-test", capacity=7)

    def test_permission_by_hand_is_refused_with_a_typed_error(self):
        budget = RetryBudget("api", capacity=1)
        budget.acquire_permission()
        with pytest.raises(RetryBudgetExhaustedError, match="'api' is used up"):
            budget.acquire_permission()
        for _ in range(10):
            budget.on_success()
        budget.acquire_permission()

    @pytest.mark.parametrize("options", [{"capacity": 0}, {"ratio": 0}])
    def test_budget_option_out_of_range_is_refused(self, options):
        with pytest.raises(InvalidConfigError, match="must be a number"):
            RetryBudget("api", **options)


class TestHooksAndRecords:
    async def test_hooks_are_told_in_order(self, policy):
        told = []

        def hook(name):
            def heard(info):
                kind = None if info.error is None else type(info.error).__name__
                told.append((name, info.attempt, kind, info.wait_seconds, info.stop_reason))

            return heard

        names = ("before_attempt", "before_wait", "on_give_up")
        under = policy(max_retries=1, **{name: hook(name) for name in names})
        with pytest.raises(ConnectionError):
            await call(under, Script(ConnectionError))
        assert told == [
            ("before_wait", 1, "ConnectionError", 1, None),
            ("before_attempt", 2, None, None, None),
            ("on_give_up", 2, "ConnectionError", None, StopReason.MAX_RETRIES),
        ]

    async def test_hook_that_raises_changes_nothing(self, policy, caplog):
        def broken(_):
            raise ZeroDivisionError

        under = policy(before_attempt=broken, before_wait=broken, on_give_up=broken)
        assert await call(under, Script(ConnectionError, "rows")) == "rows"
        assert [each.message.startswith("the hook") for each in caplog.records] == [True] * 2

    async def test_record_has_every_attempt(self, policy):
        under = policy(name="load", max_retries=2)
        with record_calls() as calls:
            assert await call(under, Script(ConnectionError, "rows")) == "rows"
            with pytest.raises(PermissionError):
                await call(under, Script(PermissionError))
            assert await call(under, Script("rows")) == "rows"
        good, bad = calls
        assert good.failed == [FailedAttempt(ErrorType.TRANSIENT, "ConnectionError", 1)]
        assert (good.operation, good.attempts, good.succeeded) == ("load", 2, True)
        assert good.elapsed_seconds == pytest.approx(1)
        assert (bad.attempts, bad.succeeded, bad.stop_reason) == (1, False, "not_retryable")

    async def test_records_of_tasks_side_by_side_are_apart(self, policy):
        async def one(n):
            with record_calls() as calls, pytest.raises(ConnectionError):
                await call(policy(max_retries=n), Script(ConnectionError))
            return [each.attempts for each in calls]

        assert await asyncio.gather(*map(one, range(4))) == [[1], [2], [3], [4]]

    async def test_records_of_a_loop_of_attempts(self, policy):
        outcomes = iter([ConnectionError(), None])
        with record_calls() as calls:
            async for attempt in retrying(policy()):
                with attempt:
                    error = next(outcomes)
                    if error is not None:
                        raise error
        assert (calls[0].attempts, calls[0].succeeded) == (2, True)


class TestNestedDeadlines:
    async def test_inner_retry_begins_no_wait_that_the_outer_deadline_cannot_fit(
        self, policy, clock
    ):
        inner = Script(ConnectionError)

        async def outer():
            return await call(policy(max_retries=99), inner)

        start = clock.monotonic()
        with pytest.raises(ConnectionError) as failed:
            await call(policy(deadline=10, max_retries=0), outer)
        assert inner.gaps == [1, 2, 4]
        assert clock.monotonic() - start == pytest.approx(7, abs=0.01)
        assert "deadline" in failed.value.__notes__[0]
        assert current_deadline.get() is None

    async def test_inner_deadline_that_is_later_does_not_widen_the_outer(self, policy, clock):
        async def outer():
            return await call(policy(deadline=100), Script("rows", seconds=50))

        start = clock.monotonic()
        with pytest.raises(DeadlineExceededError, match="deadline=10"):
            await call(policy(deadline=10), outer)
        assert clock.monotonic() - start == pytest.approx(10, abs=0.01)

    async def test_loop_of_attempts_passes_its_deadline_on(self, policy):
        seen = []
        async for attempt in retrying(policy(deadline=10)):
            with attempt:
                seen.append(current_deadline.get() - asyncio.get_running_loop().time())
        assert seen == [pytest.approx(10, abs=0.01)]
        assert current_deadline.get() is None


async def test_loop_of_attempts_awaits_async_tenacity_objects(policy):
    async def again(error):
        await asyncio.sleep(0)
        return isinstance(error, KeyError)

    outcomes = iter([KeyError(), KeyError(), None])
    under = policy(retry_on=tenacity.asyncio.retry_if_exception(again))
    async for attempt in retrying(under):
        async with attempt:
            error = next(outcomes)
            if error is not None:
                raise error
    assert attempt.number == 3
