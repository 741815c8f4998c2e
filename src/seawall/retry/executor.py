"""Running an operation under a policy: a bare ``try`` until something fails (R1)."""

import asyncio
from typing import Any

from seawall.compiled import compiled
from seawall.deadline import current_deadline, sooner
from seawall.operation import AsyncOperation
from seawall.retry.attempts import Attempts
from seawall.retry.exhaustion import ledger
from seawall.retry.policy import RetryPolicy
from seawall.timer import limit_for, limited

# The whole loop in one frame: a second coroutine would cost a retried call a tenth more. The wait
# is out of the handler: the failed attempt's frames are free, and no exception of a later attempt
# has this one for its context.
_PLAIN = """
async def retrying($params):
    since, attempts = ledger.count, None
    while True:
        try:
            result = await operation($passed)
        except Exception as error:
            if attempts is None:
                attempts = Attempts(policy, name, since, monotonic(), False)
            if not attempts.go_on(error):
                raise
        else:
            if attempts is not None and attempts.report is not None:
                attempts.succeeded()
            return result
        if attempts.wait > 0 or attempts.number > 4:
            await attempts.pause()
        if attempts.report is not None:
            attempts.begins()
"""

_REFUNDING = _PLAIN.replace(
    "            return result\n",
    """\
            elif tokens.tokens < tokens.capacity:
                tokens.on_success()
            return result
""",
)

_TIMED = """
async def retrying($params):
    return await resume(Attempts(policy, name, ledger.count, monotonic(), True), operation, $packed)
"""

_BOUNDED = """
async def retrying($params):
    started = monotonic()
    attempts = Attempts(policy, name, ledger.count, started, True)
    call = limit.begin()
    token = current_deadline.set(sooner(current_deadline.get(), started + limit.seconds))
    try:
        return await resume(attempts, operation, $packed)
    except CancelledError:
        if limit.expired(call):
            raise attempts.deadline_exceeded() from None
        raise
    finally:
        limit.end(call)
        del call  # it holds the task, and what is raised here holds this frame
        try:
            current_deadline.reset(token)
        except ValueError:
            pass  # closed in another context: that one's deadline is its own
"""


def retried(policy: RetryPolicy, operation: AsyncOperation, name: str) -> AsyncOperation:
    """The coroutine function that runs ``operation`` under ``policy``."""
    if policy.attempt_timeout is not None:
        operation = limited(operation, policy.attempt_timeout, name)
    if policy.deadline is not None:
        template = _BOUNDED
    elif not is_plain(policy):
        template = _TIMED
    else:
        template = _PLAIN if policy.tokens is None else _REFUNDING
    return compiled(
        template,
        operation,
        policy=policy,
        name=name,
        ledger=ledger,
        Attempts=Attempts,
        resume=resume,
        tokens=policy.tokens,
        monotonic=policy.clock.monotonic,
        limit=None if policy.deadline is None else limit_for(policy.deadline),
        current_deadline=current_deadline,
        sooner=sooner,
        CancelledError=asyncio.CancelledError,
    )


_AT_ONCE = 4  # attempts without a wait, after which others get their turn


def is_plain(policy: RetryPolicy) -> bool:
    """Whether nothing is to be done before the first failure, and then nothing to be awaited."""
    looks_at_results = policy.retry_if_result is not None
    return policy.deadline is None and not policy.uses_tenacity and not looks_at_results


async def resume(
    attempts: Attempts, operation: AsyncOperation, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Attempt until ``attempts`` gives up, after the wait that it holds."""
    policy = attempts.policy
    while True:
        if attempts.wait > 0 or attempts.number > _AT_ONCE:
            await attempts.pause()
        if attempts.report is not None:
            attempts.begins()
        try:
            result = await operation(*args, **kwargs)
        except Exception as error:
            answers = None
            if policy.uses_tenacity:
                answers = await attempts.tenacity(operation, args, kwargs).ask(
                    error, attempts.number
                )
            if not attempts.go_on(error, answers):
                raise
        else:
            looked_at = policy.looks_at_successes or attempts.report is not None
            if not looked_at or not attempts.go_on_from(result):
                return result
