"""``handle``: which failures lead to a fallback, as exception types and error types."""

from seawall.classification import Classifier, ErrorType
from seawall.errors import InvalidConfigError

Handled = type[Exception] | ErrorType | tuple[type[Exception] | ErrorType, ...]


class Handling:
    """The question whether a failure leads to a fallback.

    A group is of a type where every member is; its error type is its least retryable member's.

    Raises:
        InvalidConfigError: ``handle`` names something else than Exception types and error types.
    """

    __slots__ = ("_classifier", "_kinds", "_types")

    def __init__(self, handle: object, classifier: Classifier) -> None:
        types: list[type[Exception]] = []
        kinds: list[ErrorType] = []
        for each in handle if isinstance(handle, tuple) else (handle,):
            if isinstance(each, ErrorType):
                kinds.append(each)
            elif isinstance(each, type) and issubclass(each, Exception):
                types.append(each)
            else:
                raise InvalidConfigError(
                    f"handle={each!r}: must be an Exception type or an ErrorType;"
                    " cancellation is always passed on"
                )
        self._types, self._kinds, self._classifier = tuple(types), frozenset(kinds), classifier

    def handles(self, error: Exception) -> bool:
        """Whether another answer is wanted in place of this failure."""
        if self._is_of_types(error):
            return True
        return bool(self._kinds) and self._classifier.classify(error) in self._kinds

    def _is_of_types(self, error: Exception) -> bool:
        if isinstance(error, self._types):
            return True
        return isinstance(error, ExceptionGroup) and all(map(self._is_of_types, error.exceptions))
