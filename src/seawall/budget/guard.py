"""What is done where a budget is gone: decided from memory, by what was read last."""

from collections.abc import Callable, Iterable
from enum import StrEnum

from seawall.budget.store import Exhausted
from seawall.errors import ErrorBudgetExhaustedError
from seawall.scope import current_scope


class OnExhausted(StrEnum):
    """What happens to a pipeline whose error budget is gone.

    NONE: nothing. TIGHTEN: half as many retries (3 become 1). STOP: no new run begins.
    """

    NONE = "none"
    TIGHTEN = "tighten"
    STOP = "stop"


class BudgetGuard:
    """The policy over exhausted budgets. Asks nobody; may be shared between all tasks.

    Args:
        policy: what is done.
        pipeline_id: of work outside of any run.
    """

    def __init__(self, policy: OnExhausted | str, pipeline_id: str) -> None:
        self.policy, self._pipeline_id = OnExhausted(policy), pipeline_id
        self._exhausted: dict[str, Exhausted] = {}

    def put(self, exhausted: Iterable[Exhausted]) -> None:
        """These are the pipelines whose budget is gone, and no others."""
        self._exhausted = {each.pipeline_id: each for each in exhausted}

    @property
    def cap(self) -> Callable[[int], int] | None:
        """What tells retries how many they may be; None where that is never fewer."""
        return self.limit if self.policy is OnExhausted.TIGHTEN else None

    def is_exhausted(self, pipeline_id: str) -> bool:
        """Whether its budget was gone when last read."""
        return pipeline_id in self._exhausted

    def limit(self, retries: int) -> int:
        """How many of ``retries`` the work at hand may have."""
        if not self._exhausted:
            return retries
        pipeline_id = current_scope.get().pipeline_id or self._pipeline_id
        return retries // 2 if pipeline_id in self._exhausted else retries

    def check(self, pipeline_id: str) -> None:
        """Refuse a new run, where that is the policy.

        Raises:
            ErrorBudgetExhaustedError: the budget is gone.
        """
        spent = self._exhausted.get(pipeline_id)
        if spent is not None and self.policy is OnExhausted.STOP:
            raise ErrorBudgetExhaustedError(
                pipeline_id, spent.sli.value, spent.counts.bad, spent.counts.total,
                spent.objective, spent.window_days,
            )  # fmt: skip
