"""CircuitBreaker: the machine, with a clock, a classifier and the forms in which it is used."""

import math
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, Unpack, overload

from seawall.circuitbreaker.guard import template
from seawall.circuitbreaker.link import FleetLink, FleetTrial, Verdict
from seawall.circuitbreaker.machine import Machine
from seawall.circuitbreaker.options import BreakerKeywords, BreakerOptions
from seawall.circuitbreaker.snapshot import BreakerSnapshot
from seawall.circuitbreaker.state import CircuitState, Transition
from seawall.circuitbreaker.window import Counts, Permit
from seawall.classification import Classifier, ErrorType, default_classifier
from seawall.classification.reading import text_of
from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.compiled import compiled
from seawall.errors import CircuitOpenError, InvalidConfigError, RefusedError
from seawall.events import BreakerTransition, EventBus, default_bus
from seawall.operation import AsyncOperation, as_coroutine_function, like
from seawall.scope import NO_SCOPE, current_scope
from seawall.text import storable

P = ParamSpec("P")
R = TypeVar("R")

# The permits that `async with breaker:` holds, with the moment each was had, innermost first: they
# travel with the context, so that tasks sharing a breaker never see each other's.
_Entered = tuple["CircuitBreaker", Permit, float, "_Entered | None"]
_entered: ContextVar["_Entered | None"] = ContextVar("seawall_entered_breakers", default=None)

_NO_FAULT_OF_THE_SERVICE = (ErrorType.DATA, ErrorType.CONFIGURATION)
_LONGEST_NAME = 255  # it travels in a notification of at most 8,000 bytes


class CircuitBreaker:
    """Leaves a failing service alone until it recovers.

    TRANSIENT, SYSTEM and UNKNOWN failures count; DATA and CONFIGURATION failures, ignored types
    and refusals count neither way. A cancelled or closed call gives its permit back, at once and
    without waiting, and counts as nothing.

    Used as ``@breaker``, ``async with breaker:`` (entered and left in one task) or
    ``await breaker.call(function, …)``. May be shared between all tasks of one event loop; closed,
    a call costs no lock, wait or I/O. A breaker of a started manager is shared by every worker on
    its database.

    Args:
        name: the service that it guards, 1 to 255 characters.
        classifier: decides the error type of a failure.
        clock: measures how long it stays open.
        bus: takes ``BreakerTransition``.
        **options: those of ``BreakerOptions``.

    Attributes:
        link: its tie to the fleet; None while it is local.
        followed_epoch: the epoch of the last state that came from the fleet.
        forced_here: why this worker's operator took it to its state; None where nobody did.

    Raises:
        InvalidConfigError: an option is out of range, or the breaker could never open.
    """

    __slots__ = (
        "_bus",
        "_classifier",
        "_clock",
        "_reason",
        "_scope",
        "followed_epoch",
        "forced_here",
        "link",
        "machine",
        "name",
        "options",
    )

    def __init__(
        self,
        name: str,
        *,
        classifier: Classifier = default_classifier,
        clock: Clock = SYSTEM_CLOCK,
        bus: EventBus = default_bus,
        **options: Unpack[BreakerKeywords],
    ) -> None:
        self.name = _checked(name)
        self.options = BreakerOptions(**options)
        self._classifier, self._clock, self._bus = classifier, clock, bus
        # The first bucket of a time window has no beginning: there may be no event loop yet.
        self.machine = Machine(self.options, -math.inf)
        self.link: FleetLink | None = None
        self.forced_here: str | None = None
        self.followed_epoch = 0
        self._reason: str | None = None
        # Of the last call that met trouble: what the fleet makes of it later belongs to its run.
        self._scope = NO_SCOPE

    @overload
    def __call__(
        self, operation: Callable[P, Awaitable[R]], /
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def __call__(self, operation: Callable[P, R], /) -> Callable[P, Coroutine[Any, Any, R]]: ...
    def __call__(self, operation: Callable[..., Any], /) -> Callable[..., Any]:
        guarded = like(operation, self.guard(as_coroutine_function(operation)))
        guarded.__dict__["circuit_breaker"] = self
        return guarded

    @overload
    async def call(
        self, operation: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    async def call(self, operation: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def call(self, operation: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``operation`` through the breaker.

        Raises:
            CircuitOpenError: the breaker refused the call.
        """
        return await self._tried(as_coroutine_function(operation), args, kwargs)

    async def __aenter__(self) -> Self:
        permit = await self.acquire_permission()
        _entered.set((self, permit, self._clock.monotonic(), _entered.get()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        entry = _entered.get()
        if entry is None or entry[0] is not self:
            raise RuntimeError(
                f"circuit breaker {self.name!r} was left in another context than it was entered in"
            )
        _entered.set(entry[3])
        spent = self._clock.monotonic() - entry[2]
        if error is None:
            self.on_success(entry[1], spent)
        else:
            self.on_error(entry[1], error, spent)

    def guard(self, operation: AsyncOperation) -> AsyncOperation:
        """The coroutine function that calls ``operation`` through the breaker."""
        options = self.options
        return compiled(
            template(options),
            operation,
            machine=self.machine,
            monotonic=self._clock.monotonic,
            name=self.name,
            inf=math.inf,
            CircuitOpenError=CircuitOpenError,
            tried=self._tried,
            on_error=self.on_error,
            on_success=self.on_success,
            on_failed_result=self._on_failed_result,
            failed_result=options.failed_result,
            slow_call_duration=options.slow_call_duration,
        )

    async def acquire_permission(self) -> Permit:
        """A permit for one call; waits only where the fleet is asked for a trial call.

        To be given to ``on_success``, ``on_error`` or ``release_permission``, once.

        Raises:
            CircuitOpenError: the service is left alone; says for how long.
        """
        machine = self.machine
        if machine.window is not None:
            return machine.window
        self._scope = current_scope.get()
        now = self._clock.monotonic()
        if now >= machine.open_until:
            if self.link is not None and self.link.governs:
                permit = await self.link.claim()
                if permit is not None:
                    return permit
                now = self._clock.monotonic()  # the fleet can't be reached: go on alone
            passed = machine.state is CircuitState.OPEN
            reason = "its time open has passed" if passed else "a trial call took too long"
            self._tell(machine.advance(now), reason)
            permit = machine.admit(now)
            if permit is not None:
                return permit
        raise CircuitOpenError(self.name, machine.retry_after(now))

    def release_permission(self, permit: Permit) -> None:
        """The call ended without a verdict."""
        if isinstance(permit, FleetTrial):
            permit.end(Verdict.RELEASED)
        else:
            self.machine.released(permit)

    def on_success(self, permit: Permit, duration: float = 0.0) -> None:
        """The call succeeded, after ``duration`` seconds."""
        if isinstance(permit, FleetTrial):
            permit.end(Verdict.SUCCEEDED)
        elif self._is_slow(duration):
            reason = f"a call took {duration:.3f} s"
            self._tell(self.machine.succeeded_slowly(permit, self._clock.monotonic()), reason)
            if self.link is not None:
                self.link.failed()
        else:
            transition = self.machine.succeeded(permit, self._clock.monotonic())
            self._tell(transition, "a trial call succeeded")

    def on_error(self, permit: Permit, error: BaseException, duration: float = 0.0) -> None:
        """The call raised ``error`` after ``duration`` seconds: a failure, or no verdict."""
        if not isinstance(permit, FleetTrial) and permit.epoch != self.machine.epoch:
            return
        if self._counts(error):
            self._failed(permit, f"{type(error).__qualname__}: {text_of(error)}", duration)
        else:
            self.release_permission(permit)

    def force_open(self) -> None:
        """Refuse every call, in the whole fleet, until ``reset`` or ``disable``."""
        self._force(CircuitState.FORCED_OPEN, "forced open")

    def disable(self) -> None:
        """Let every call through and count none, in the whole fleet, until ``reset``."""
        self._force(CircuitState.DISABLED, "disabled")

    def count_only(self) -> None:
        """Let every call through and count it, in the whole fleet, until ``reset``."""
        self._force(CircuitState.METRICS_ONLY, "metrics only")

    def reset(self) -> None:
        """Close it, in the whole fleet, with an empty record."""
        self._force(CircuitState.CLOSED, "reset")

    def follow(self, state: CircuitState, seconds: float, reason: str) -> None:
        """Enter ``state``, OPEN for ``seconds``, because the fleet has."""
        self.forced_here = None
        self._tell(self.machine.enter(state, self._clock.monotonic(), seconds), reason)

    @property
    def state(self) -> CircuitState:
        """The present state. OPEN becomes HALF_OPEN with the first call after its time."""
        return self.machine.state

    def is_open(self) -> bool:
        """Whether calls are refused now."""
        return self._clock.monotonic() < self.machine.open_until

    def snapshot(self) -> BreakerSnapshot:
        """The breaker as it is now, for people."""
        machine, now = self.machine, self._clock.monotonic()
        window = machine.window
        counts = Counts() if window is None else window.counts(now)
        return BreakerSnapshot(
            service_name=self.name,
            state=machine.state,
            epoch=machine.epoch,
            call_count=counts.calls,
            failure_count=counts.failures,
            slow_count=counts.slow,
            opened_count=machine.opened_count,
            retry_after=machine.retry_after(now) if window is None else None,
            reason=self._reason,
            fleet_epoch=None if self.link is None else self.link.epoch,
        )

    async def _tried(
        self, operation: AsyncOperation, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        permit = await self.acquire_permission()
        started = self._clock.monotonic()
        try:
            result = await operation(*args, **kwargs)
        except BaseException as error:
            self.on_error(permit, error, self._clock.monotonic() - started)
            raise
        spent = self._clock.monotonic() - started
        if self.options.failed_result is not None and self.options.failed_result(result):
            self._on_failed_result(permit, spent)
        else:
            self.on_success(permit, spent)
        return result

    def _on_failed_result(self, permit: Permit, duration: float) -> None:
        self._failed(permit, "its result counts as a failure", duration)

    def _failed(self, permit: Permit, reason: str, duration: float) -> None:
        if isinstance(permit, FleetTrial):
            permit.end(Verdict.FAILED)
            return
        self._scope = current_scope.get()
        transition = self.machine.failed(
            permit, self._clock.monotonic(), slow=self._is_slow(duration)
        )
        self._tell(transition, reason)
        if self.link is not None:
            self.link.failed()

    def _is_slow(self, duration: float) -> bool:
        limit = self.options.slow_call_duration
        return limit is not None and duration >= limit

    def _counts(self, error: BaseException) -> bool:
        # A cancellation, an exit or a closed coroutine says nothing about the service.
        if not isinstance(error, Exception) or self._ignores(error):
            return False
        if self.options.recorded is not None:
            return _is_any(error, self.options.recorded)
        return self._classifier.classify(error) not in _NO_FAULT_OF_THE_SERVICE

    def _ignores(self, error: Exception) -> bool:
        ignored: tuple[type[Exception], ...] = (RefusedError, *self.options.ignored)
        if isinstance(error, ExceptionGroup) and not isinstance(error, ignored):
            return all(map(self._ignores, error.exceptions))
        return isinstance(error, ignored)

    def _force(self, state: CircuitState, reason: str) -> None:
        self.follow(state, math.inf, reason)
        self.forced_here = reason
        if self.link is not None:
            self.link.force(state, reason)

    def _tell(self, transition: Transition | None, reason: str) -> None:
        if transition is None:
            return
        self._reason = reason
        if self._bus.listeners:
            here = current_scope.get()
            self._bus.emit(
                BreakerTransition(
                    scope=self._scope if here is NO_SCOPE else here,
                    service_name=self.name,
                    from_state=transition.from_state,
                    to_state=transition.to_state,
                    epoch=transition.epoch,
                    reason=reason,
                )
            )


def _checked(name: object) -> str:
    if isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and storable(name) == name:
        return name
    raise InvalidConfigError(
        f"name={name!r}: must be text of 1 to {_LONGEST_NAME} characters, without NUL or lone"
        " surrogates"
    )


def _is_any(error: Exception, types: tuple[type[Exception], ...]) -> bool:
    """Whether it is of one of the types, or a group with a member that is."""
    if isinstance(error, types):
        return True
    return isinstance(error, ExceptionGroup) and any(_is_any(e, types) for e in error.exceptions)
