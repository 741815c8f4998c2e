"""The other libraries, each in its documented async form, with the same rules and no waits.

``make(section)`` gives ``{label: subject}``: an async function without arguments that calls
``operation`` through the library. A library that isn't installed, or has no such form, gives its
reason in place of the subject.
"""

import importlib.metadata
from contextlib import suppress

ATTEMPTS, THRESHOLD, TIMEOUT = 4, 5, 60.0
PACKAGES = (
    "tenacity", "stamina", "backoff", "hyx", "pybreaker", "aiobreaker", "circuitbreaker",
    "purgatory", "redress", "pyresilience", "aioresilience",
)  # fmt: skip


def tenacity(section, operation):
    from tenacity import retry, stop_after_attempt, wait_none

    return {
        "retry": lambda: retry(stop=stop_after_attempt(ATTEMPTS), wait=wait_none())(operation),
        "both": lambda: retry(stop=stop_after_attempt(ATTEMPTS), wait=wait_none())(
            aiobreaker("breaker", operation)["breaker"]()
        ),
    }


def stamina(section, operation):
    import stamina

    return {
        "retry": lambda: stamina.retry(
            on=Exception, attempts=ATTEMPTS, timeout=None, wait_initial=0, wait_max=0, wait_jitter=0
        )(operation)
    }


def backoff(section, operation):
    import backoff

    return {
        "retry": lambda: backoff.on_exception(
            backoff.constant, Exception, max_tries=ATTEMPTS, interval=0, jitter=None, logger=None
        )(operation)
    }


def hyx(section, operation):
    from hyx.circuitbreaker import consecutive_breaker
    from hyx.retry import retry
    from hyx.timeout import timeout

    def guarded():
        return consecutive_breaker(failure_threshold=THRESHOLD, recovery_time_secs=60)(operation)

    return {
        "retry": lambda: retry(attempts=ATTEMPTS, backoff=0)(operation),
        "breaker": guarded,
        "both": lambda: retry(attempts=ATTEMPTS, backoff=0)(guarded()),
        "timeout": lambda: timeout(TIMEOUT)(operation),
    }


def pybreaker(section, operation):
    from pybreaker import CircuitBreaker

    def guarded():
        breaker = CircuitBreaker(fail_max=THRESHOLD)

        async def call():
            with breaker.calling():  # call_async is for tornado's coroutines
                return await operation()

        return call

    return {"breaker": guarded}


def aiobreaker(section, operation):
    from aiobreaker import CircuitBreaker

    return {"breaker": lambda: CircuitBreaker(fail_max=THRESHOLD)(operation)}


def circuitbreaker(section, operation):
    from circuitbreaker import circuit

    return {"breaker": lambda: circuit(failure_threshold=THRESHOLD, recovery_timeout=60)(operation)}


def purgatory(section, operation):
    from purgatory import AsyncCircuitBreakerFactory

    return {
        "breaker": lambda: AsyncCircuitBreakerFactory(default_threshold=THRESHOLD)("api")(operation)
    }


def redress(section, operation):
    from redress import AsyncPolicy, AsyncRetry, CircuitBreaker, default_classifier

    def policy(**parts):
        made = AsyncPolicy(**parts)

        async def call():
            return await made.call(operation)

        return call

    def no_wait(ctx):
        return 0.0

    def retry():
        return AsyncRetry(classifier=default_classifier, strategy=no_wait, max_attempts=ATTEMPTS)

    return {
        "retry": lambda: policy(retry=retry()),
        "breaker": lambda: policy(circuit_breaker=CircuitBreaker(failure_threshold=THRESHOLD)),
        "both": lambda: policy(
            retry=retry(), circuit_breaker=CircuitBreaker(failure_threshold=THRESHOLD)
        ),
    }


def pyresilience(section, operation):
    from pyresilience import CircuitBreakerConfig, RetryConfig, TimeoutConfig, resilient

    retry = RetryConfig(max_attempts=ATTEMPTS, delay=0, jitter=False)
    breaker = CircuitBreakerConfig(failure_threshold=THRESHOLD)
    return {
        "retry": lambda: resilient(retry=retry)(operation),
        "breaker": lambda: resilient(circuit_breaker=breaker)(operation),
        "both": lambda: resilient(retry=retry, circuit_breaker=breaker)(operation),
        "timeout": lambda: resilient(timeout=TimeoutConfig(seconds=TIMEOUT))(operation),
    }


def aioresilience(section, operation):
    import aioresilience as lib

    lib.disable_logging()

    def retry(inner):
        config = lib.RetryConfig(max_attempts=ATTEMPTS, initial_delay=0, max_delay=0, jitter=0)
        return lib.with_retry(lib.RetryPolicy(config=config))(inner)

    def guarded():
        config = lib.CircuitConfig(failure_threshold=THRESHOLD)
        return lib.with_circuit_breaker(lib.CircuitBreaker(name=section, config=config))(operation)

    async def limited():
        return await lib.with_timeout(operation, TIMEOUT)

    return {
        "retry": lambda: retry(operation),
        "breaker": guarded,
        "both": lambda: retry(guarded()),
        "timeout": lambda: limited,
    }


FORM_OF = {
    "retry": "retry",
    "breaker": "breaker",
    "both": "both",
    "open": "breaker",
    "failure": "retry",
    "timeout": "timeout",
}


def make(section, operation):
    """Each peer's subject for a section, or why it has none."""
    subjects = {}
    for name in PACKAGES:
        try:
            forms = globals()[name](section, operation)
            form = forms.get(FORM_OF.get(section, ""))
            label = name
            if name == "tenacity" and section == "both":
                label = "tenacity + aiobreaker"
            if form is not None:
                subjects[label] = form()
        except ImportError:
            subjects[name] = "not installed"
        except Exception as error:
            subjects[name] = f"refuses: {error}"
    return subjects


def versions():
    """What was measured."""
    found = {}
    for name in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
