"""CircuitBreaker: the machine, with a clock, a classifier and the forms in which it is used."""

import math
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, Unpack, overload

from seawall.circuitbreaker.machine import Machine
from seawall.circuitbreaker.options import BreakerKeywords, BreakerOptions
from seawall.circuitbreaker.snapshot import BreakerSnapshot
from seawall.circuitbreaker.state import CircuitState, Transition
from seawall.circuitbreaker.window import Permit
from seawall.classification import Classifier, ErrorType, default_classifier
from seawall.classification.reading import text_of
from seawall.clock import SYSTEM_CLOCK, Clock
from seawall.errors import CircuitOpenError, RefusedError
from seawall.events import BreakerTransition, EventBus, default_bus
from seawall.operation import AsyncOperation, as_coroutine_function, like

P = ParamSpec("P")
R = TypeVar("R")

# The permits that `async with breaker:` holds, innermost first: they travel with the context, so
# that tasks sharing a breaker never see each other's.
_Entered = tuple["CircuitBreaker", Permit, "_Entered | None"]
_entered: ContextVar["_Entered | None"] = ContextVar("seawall_entered_breakers", default=None)

_NO_FAULT_OF_THE_SERVICE = (ErrorType.DATA, ErrorType.CONFIGURATION)


class CircuitBreaker:
    """Leaves a failing service alone until it recovers.

    TRANSIENT, SYSTEM and UNKNOWN failures count; DATA and CONFIGURATION failures, ignored types
    and refusals count neither way. A cancelled or closed call gives its permit back, at once and
    without waiting, and counts as nothing.

    Used as ``@breaker``, ``async with breaker:`` (entered and left in one task) or
    ``await breaker.call(function, …)``. May be shared between all tasks of one event loop; closed,
    a call costs no lock, wait or clock.

    Args:
        name: the service that it guards.
        classifier: decides the error type of a failure.
        clock: measures how long it stays open.
        bus: takes ``BreakerTransition``.
        **options: those of ``BreakerOptions``.

    Raises:
        InvalidConfigError: an option is out of range, or the breaker could never open.
    """

    __slots__ = ("_bus", "_classifier", "_clock", "_reason", "machine", "name", "options")

    def __init__(
        self,
        name: str,
        *,
        classifier: Classifier = default_classifier,
        clock: Clock = SYSTEM_CLOCK,
        bus: EventBus = default_bus,
        **options: Unpack[BreakerKeywords],
    ) -> None:
        self.name = name
        self.options = BreakerOptions(**options)
        self.machine = Machine(self.options)
        self._classifier, self._clock, self._bus = classifier, clock, bus
        self._reason: str | None = None

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
        run = as_coroutine_function(operation)
        return await self._permitted(self.acquire_permission(), run, args, kwargs)

    async def __aenter__(self) -> Self:
        _entered.set((self, self.acquire_permission(), _entered.get()))
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
        _entered.set(entry[2])
        if error is None:
            self.on_success(entry[1])
        else:
            self.on_error(entry[1], error)

    def guard(self, operation: AsyncOperation) -> AsyncOperation:
        """The coroutine function that calls ``operation`` through the breaker."""
        machine, on_error, monotonic = self.machine, self.on_error, self._clock.monotonic
        name = self.name

        async def guarded(*args: Any, **kwargs: Any) -> Any:
            window = machine.window
            if window is None:
                # As acquire_permission does; a frame less makes a refusal a third cheaper.
                wait = machine.open_until - monotonic()
                if wait > 0:
                    raise CircuitOpenError(name, wait if wait < math.inf else None)
                permit = self.acquire_permission()
                return await self._permitted(permit, operation, args, kwargs)
            try:
                result = await operation(*args, **kwargs)
            except Exception as error:
                on_error(window, error)
                raise
            window.successes += 1
            return result

        return guarded

    def acquire_permission(self) -> Permit:
        """A permit for one call.

        To be given to ``on_success``, ``on_error`` or ``release_permission``, once.

        Raises:
            CircuitOpenError: the service is left alone; says for how long.
        """
        machine = self.machine
        window = machine.window
        if window is not None:
            return window
        now = self._clock.monotonic()
        if now >= machine.open_until:
            self._entered_state(machine.advance(now), "its time open has passed")
            permit = machine.admit()
            if permit is not None:
                return permit
        raise CircuitOpenError(self.name, machine.retry_after(now))

    def release_permission(self, permit: Permit) -> None:
        """The call ended without a verdict."""
        self.machine.released(permit)

    def on_success(self, permit: Permit) -> None:
        """The call succeeded."""
        self._entered_state(self.machine.succeeded(permit), "a trial call succeeded")

    def on_error(self, permit: Permit, error: BaseException) -> None:
        """The call raised ``error``: a failure where it counts, else no verdict."""
        machine = self.machine
        if permit.epoch != machine.epoch:
            return
        if not self._counts(error):
            machine.released(permit)
            return
        transition = machine.failed(permit, self._clock.monotonic())
        if transition is not None:
            self._entered_state(transition, f"{type(error).__qualname__}: {text_of(error)}")

    def force_open(self) -> None:
        """Refuse every call until ``reset`` or ``disable``."""
        self._entered_state(self.machine.force(CircuitState.FORCED_OPEN), "forced open")

    def disable(self) -> None:
        """Let every call through until ``reset`` or ``force_open``."""
        self._entered_state(self.machine.force(CircuitState.DISABLED), "disabled")

    def reset(self) -> None:
        """Close it, with an empty record."""
        self._entered_state(self.machine.force(CircuitState.CLOSED), "reset")

    @property
    def state(self) -> CircuitState:
        """The present state. OPEN becomes HALF_OPEN with the first call after its time."""
        return self.machine.state

    def is_open(self) -> bool:
        """Whether calls are refused now."""
        return self._clock.monotonic() < self.machine.open_until

    def snapshot(self) -> BreakerSnapshot:
        """The breaker as it is now, for people."""
        machine = self.machine
        window = machine.window
        return BreakerSnapshot(
            service_name=self.name,
            state=machine.state,
            epoch=machine.epoch,
            failure_count=0 if window is None else window.failure_count,
            call_count=0 if window is None else window.call_count,
            retry_after=machine.retry_after(self._clock.monotonic()) if window is None else None,
            reason=self._reason,
        )

    async def _permitted(
        self,
        permit: Permit,
        operation: AsyncOperation,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        try:
            result = await operation(*args, **kwargs)
        except BaseException as error:
            self.on_error(permit, error)
            raise
        self.on_success(permit)
        return result

    def _counts(self, error: BaseException) -> bool:
        # A cancellation, an exit or a closed coroutine says nothing about the service.
        if not isinstance(error, Exception) or self._ignores(error):
            return False
        return self._classifier.classify(error) not in _NO_FAULT_OF_THE_SERVICE

    def _ignores(self, error: Exception) -> bool:
        if isinstance(error, ExceptionGroup) and not isinstance(error, self.options.ignored):
            return all(map(self._ignores, error.exceptions))
        return isinstance(error, (RefusedError, *self.options.ignored))

    def _entered_state(self, transition: Transition | None, reason: str) -> None:
        if transition is None:
            return
        self._reason = reason
        if self._bus.listeners:
            self._bus.emit(
                BreakerTransition(
                    service_name=self.name,
                    from_state=transition.from_state,
                    to_state=transition.to_state,
                    epoch=transition.epoch,
                    reason=reason,
                )
            )
