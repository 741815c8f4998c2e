"""Options are checked when the policy is built, and say what would be right."""

import dataclasses

import anyio
import pytest
import tenacity

from seawall.errors import CircuitOpenError, InvalidConfigError
from seawall.retry import RetryOptions, RetryPolicy, RetryStrategy, retry
from seawall.retry.matching import matcher_of


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_retries": -1}, "max_retries=-1: must be a whole number, 0 or more"),
        ({"max_retries": 1.5}, "max_retries=1.5"),
        ({"max_retries": True}, "max_retries=True"),
        ({"initial_delay": -1}, "initial_delay=-1"),
        ({"initial_delay": float("nan")}, "initial_delay=nan"),
        ({"initial_delay": 9, "max_delay": 8}, "must not pass max_delay=8"),
        ({"backoff_factor": 0.5}, "backoff_factor=0.5: must be a number, 1 or more"),
        ({"jitter_range": 1.1}, "jitter_range=1.1"),
        ({"deadline": 0}, "deadline=0: must be a number, above 0"),
        ({"attempt_timeout": -1}, "attempt_timeout=-1"),
        ({"strategy": "sometimes"}, "fixed_delay, linear_backoff, exponential_backoff"),
        ({"retry_on": 5}, "retry_on=5"),
        ({"retry_on": BaseException}, "never retried"),
        ({"retry_on": (ValueError, KeyboardInterrupt)}, "KeyboardInterrupt"),
        ({"wait": 3}, "wait=3: must be a tenacity wait_"),
        ({"stop": 3}, "stop=3: must be a tenacity stop_"),
    ],
)
def test_policy_with_an_option_out_of_range_is_refused(options, message):
    with pytest.raises(InvalidConfigError, match=message.replace("(", r"\(")):
        RetryPolicy(**options)


def test_policy_with_an_async_predicate_is_refused():
    async def predicate(_):
        return True

    class Asks:
        async def __call__(self, _):
            return True

    for each in (predicate, Asks()):
        with pytest.raises(InvalidConfigError, match="plain function"):
            RetryPolicy(retry_on=each)


def test_unknown_option_is_a_type_error():
    with pytest.raises(TypeError, match="max_retry"):
        retry(max_retry=3)


def test_keywords_are_the_policys_options():
    """The typed keywords of ``retry`` and the fields of the policy stay the same."""
    fields = {field.name for field in dataclasses.fields(RetryPolicy) if field.init}
    assert set(RetryOptions.__annotations__) == fields


def test_strategy_given_by_its_name_is_the_member():
    assert RetryPolicy(strategy="jitter").strategy is RetryStrategy.JITTER


def test_policy_is_frozen_and_replaceable():
    policy = RetryPolicy(max_retries=5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.max_retries = 6
    assert dataclasses.replace(policy, max_retries=6).max_retries == 6


def test_matcher_of_types_looks_at_every_leaf_of_a_group():
    matches = matcher_of((ConnectionError, TimeoutError))
    assert matches(ConnectionResetError())
    assert not matches(ValueError())
    assert matches(ExceptionGroup("", [ConnectionError(), ExceptionGroup("", [TimeoutError()])]))
    assert not matches(ExceptionGroup("", [ConnectionError(), ValueError()]))
    assert matcher_of(ExceptionGroup)(ExceptionGroup("", [ValueError()]))


def test_matcher_of_exception_does_not_ask_for_refusals():
    assert not matcher_of(Exception)(CircuitOpenError("s", 1.0))
    assert not matcher_of(Exception)(ExceptionGroup("", [CircuitOpenError("s", 1.0)]))
    assert matcher_of(CircuitOpenError)(CircuitOpenError("s", 1.0))
    assert matcher_of(lambda _: True)(CircuitOpenError("s", 1.0))


def test_matcher_of_predicate_is_asked_of_the_group_then_of_its_leaves():
    matches = matcher_of(lambda error: isinstance(error, KeyError))
    assert matches(ExceptionGroup("", [KeyError()]))
    assert not matches(ExceptionGroup("", [KeyError(), ValueError()]))


def test_tenacity_subclass_of_the_users_own_is_known():
    class Mine(tenacity.retry_base):
        def __call__(self, state):
            return True

    assert RetryPolicy(retry_on=Mine()).uses_tenacity
    assert not RetryPolicy(retry_on=lambda _: True).uses_tenacity


def test_cancelled_error_type_of_the_backend_is_refused():
    async def main():
        with pytest.raises(InvalidConfigError):
            RetryPolicy(retry_on=anyio.get_cancelled_exc_class())

    anyio.run(main)
