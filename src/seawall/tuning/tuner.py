"""What a retry asks at its failures: the tuned numbers, in memory."""

from collections.abc import Collection, Iterable, Mapping

from seawall.classification import ErrorType
from seawall.scope import current_scope
from seawall.tuning.store import Key, Tuned

# An option of the user's for one of these leaves all of them to the user.
_WAITS = frozenset(
    {"initial_delay", "backoff_factor", "max_delay", "wait", "strategy", "retry_strategy", "jitter"}
)
_RETRIES = frozenset({"max_retries", "stop"})

_Key = tuple[str, str, ErrorType]
Overrides = Mapping[str, float]


class Tuner:
    """The numbers that hold, by pipeline, operation and error type; shared by all policies.

    Args:
        pipeline_id: of calls outside any run.
        is_on: whether tuned numbers are used; else no policy asks.
    """

    def __init__(self, pipeline_id: str, *, is_on: bool) -> None:
        self._pipeline_id, self.is_on = pipeline_id, is_on
        self._tuned: dict[_Key, Tuned] = {}
        self._all: dict[_Key, Overrides] = {}
        self._waits: dict[_Key, Overrides] = {}
        self._retries: dict[_Key, Overrides] = {}

    def put(self, tuned: Iterable[Tuned]) -> None:
        """Take over what the fleet has; entries that are the same stay the same objects."""
        known = self._tuned
        self._tuned = {_key(each.key): each for each in tuned}
        changed = [key for key, each in self._tuned.items() if known.get(key) != each]
        for overrides in (self._all, self._waits, self._retries):
            for key in [key for key in overrides if key not in self._tuned]:
                del overrides[key]
        for key in changed:
            timing = self._tuned[key].timing
            retries = {"max_retries": timing.max_retries}
            waits = {
                "initial_delay": timing.initial_delay,
                "backoff_factor": timing.backoff_factor,
                "max_delay": timing.max_delay,
            }
            self._all[key] = {**retries, **waits}
            self._waits[key], self._retries[key] = waits, retries

    def revision(self, key: Key) -> int:
        """The revision of the numbers that hold here; 0 for the configured ones."""
        tuned = self._tuned.get(_key(key)) if self.is_on else None
        return 0 if tuned is None else tuned.revision

    def for_options(self, given: Collection[str]) -> "BoundTuner | None":
        """What a policy asks that was made with options of the user's, which always win."""
        if not self.is_on:
            return None
        waits, retries = _WAITS.isdisjoint(given), _RETRIES.isdisjoint(given)
        if waits and retries:
            return BoundTuner(self._all, self._pipeline_id)
        if waits or retries:
            return BoundTuner(self._waits if waits else self._retries, self._pipeline_id)
        return None


class BoundTuner:
    """The overrides that a policy may be given."""

    __slots__ = ("_overrides", "_pipeline_id")

    def __init__(self, overrides: Mapping[_Key, Overrides], pipeline_id: str) -> None:
        self._overrides, self._pipeline_id = overrides, pipeline_id

    def overrides(self, operation: str, error_type: ErrorType | None) -> Overrides | None:
        """Options for the operation's failures of a kind; None where nothing was tuned."""
        if not self._overrides or error_type is None:
            return None
        pipeline = current_scope.get().pipeline_id or self._pipeline_id
        return self._overrides.get((pipeline, operation, error_type))


def _key(key: Key) -> _Key:
    return key.pipeline_id, key.operation, key.error_type
