"""What a breaker asks of the fleet that it is shared with."""

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Protocol

from seawall.circuitbreaker.state import CircuitState
from seawall.circuitbreaker.window import Permit


class Verdict(StrEnum):
    """How a trial call ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RELEASED = "released"


class FleetTrial(Permit, ABC):
    """The permit of one trial call of the whole fleet."""

    __slots__ = ()

    @abstractmethod
    def end(self, verdict: Verdict) -> None:
        """Give the permit back, with what came of it; waits for nothing."""


class FleetLink(Protocol):
    """One breaker's tie to its fleet. None of its methods but ``claim`` waits."""

    @property
    def governs(self) -> bool:
        """Whether trial calls are the fleet's to permit, now."""
        ...

    @property
    def epoch(self) -> int:
        """The number of the fleet's state that the breaker goes by."""
        ...

    def failed(self) -> None:
        """This worker's own failures have changed."""
        ...

    async def claim(self) -> Permit | None:
        """A permit for a trial call; None where the fleet can't be reached.

        Raises:
            CircuitOpenError: others hold the permits.
        """
        ...

    def force(self, state: CircuitState, reason: str) -> None:
        """Take every worker's breaker to ``state``."""
        ...
