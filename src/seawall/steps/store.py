"""Where the results of steps are kept: the protocol, and the values that pass."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from anyio.abc import TaskGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCall:
    """A step about to be called.

    Attributes:
        function: module and name of the function.
        arguments: digest of its arguments; None where they can't be compared.
    """

    run_id: str
    step: str
    function: str
    arguments: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepClaim:
    """A step that this worker runs.

    Attributes:
        fence: this taking; who reports under another one is not heard.
    """

    run_id: str
    step: str
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptResult:
    """What a step gave when it ran.

    Attributes:
        text: in the codec's form.
        function, arguments: as of the call that gave it.
    """

    text: str
    function: str
    arguments: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldStep:
    """A step that has no result yet.

    Attributes:
        status: running, waiting or failed.
        seconds: that its runner may still be silent; 0 where nobody runs it.
        message: its last failure.
    """

    status: str
    seconds: float
    message: str | None


class StepStore(Protocol):
    """Shared by all workers; times are the store's own."""

    async def look(self, run_id: str, step: str) -> KeptResult | HeldStep | None:
        """The step as it stands; None where it was never called."""
        ...

    async def claim(self, call: StepCall, owner: str, lease_seconds: float) -> StepClaim | None:
        """Take the step; None where another runs it, or it is done."""
        ...

    async def renew(self, claim: StepClaim, lease_seconds: float) -> bool:
        """Keep the step; False where another has it by now."""
        ...

    async def save(self, claim: StepClaim, text: str, more_attempts: int) -> bool:
        """Keep its result; False where another has it by now. May be said twice."""
        ...

    async def failed(
        self, claim: StepClaim, error_type: str, message: str, more_attempts: int
    ) -> None:
        """It failed: the next call of the step runs it again."""
        ...

    async def give_back(self, claim: StepClaim) -> None:
        """It was not run to its end: another may take it at once."""
        ...

    async def in_transaction(
        self,
        claim: StepClaim,
        work: Callable[[Any], Awaitable[str]],
        more_attempts: int,
        tasks: TaskGroup,
    ) -> str:
        """Run ``work`` in a transaction that keeps the text it gives; the text.

        ``tasks`` owns the task of the COMMIT, which is not cut in half.

        Raises:
            StaleRunError: another has the step by now; nothing is committed.
        """
        ...

    async def forget(self, run_id: str, step: str) -> bool:
        """Drop the result, and whoever runs the step; False where there is none."""
        ...
