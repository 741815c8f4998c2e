"""The classifier: asks the layers in their order and says which one decided."""

import logging
from collections.abc import Iterable, Mapping
from typing import Literal

from seawall.classification.chain import behind, members
from seawall.classification.codes import CODE_NAMES, explain_code
from seawall.classification.error_type import LEAST_RETRYABLE_FIRST, ErrorType
from seawall.classification.explanation import NOTHING_KNOWN, Explanation, Layer
from seawall.classification.fingerprint import Fingerprint, fingerprint_of
from seawall.classification.learned import SURE_ENOUGH, Guess, Model, shipped_model, tokens_of
from seawall.classification.message import explain_message
from seawall.classification.outcome import Outcomes, Verdict
from seawall.classification.reading import qualified_name, text_of
from seawall.classification.remembered import (
    ALONE,
    BARE,
    by_remembered_code,
    by_type,
    remember_code,
)
from seawall.classification.retry_after import retry_after
from seawall.classification.rule import Rule, RuleFunction, RuleKey, rule_functions

_logger = logging.getLogger("seawall.classification")

_MOST_LOOKED_AT = 4096
# What these layers say, outcomes may correct; tables and codes they never do.
_GUESSES = frozenset({Layer.NONE, Layer.OUTCOME, Layer.LEARNED})


class Classifier:
    """Says what kind of failure an exception is; never raises, whatever it is given.

    May be shared between tasks and threads. ``rules`` are asked before everything else, in their
    order; the first that does not answer None decides.

    Args:
        rules: functions ``exc -> ErrorType | None``, pairs ``(exception type, ErrorType)`` or
            ``(code, ErrorType)``, or mappings of such pairs. A type holds for subclasses too; a
            code is spelt as ``explain`` does: ``"HTTP 409"``, ``"SQLSTATE 40001"``.
        learned: the model for what nothing else knows; None: the one that comes with the package;
            False: none.

    Attributes:
        outcomes: what retries have shown, asked before the model; None where nobody gathers it.

    Raises:
        InvalidConfigError: a rule has another shape.
    """

    __slots__ = ("_model", "_rules", "outcomes")

    def __init__(
        self,
        rules: Iterable[Rule] | Mapping[RuleKey, ErrorType] = (),
        *,
        learned: Model | Literal[False] | None = None,
    ) -> None:
        self._rules: tuple[RuleFunction, ...] = ()
        self._model = learned
        self.outcomes: Outcomes | None = None
        for rule in (rules,) if isinstance(rules, Mapping) else rules:
            self.add_rule(rule)

    def add_rule(self, rule: Rule) -> None:
        """Ask ``rule`` too, after the rules already there and before the tables.

        Raises:
            InvalidConfigError: it is no function, pair or mapping of pairs.
        """
        self._rules = (*self._rules, *rule_functions(rule))

    def classify(self, exc: BaseException, operation: str | None = None) -> ErrorType:
        """The kind of failure; UNKNOWN where no layer knows.

        Args:
            exc: the failure.
            operation: what failed, where outcomes are kept of it.
        """
        cls = type(exc)
        if not self._rules:
            quick = ALONE.get(cls)
            if quick is not None and CODE_NAMES.isdisjoint(exc.__dict__):
                return quick
            quick = by_remembered_code(cls, exc)
            if quick is not None:
                return quick
        found = self.explain(exc, operation)
        if not self._rules:
            remember_code(exc, found)
        return found.error_type

    def judge(
        self, exc: BaseException, operation: str | None = None
    ) -> tuple[ErrorType, float | None]:
        """The kind of failure, and the seconds that a server asked to wait (see ``retry_after``).

        Both in one look: a plain exception with nothing on it and none behind it is judged by its
        type, in a fraction of a microsecond.
        """
        known = BARE.get(type(exc))
        if (
            known is not None
            and not exc.args
            and exc.__cause__ is None
            and (exc.__context__ is None or exc.__suppress_context__)
            and not exc.__dict__
            and not self._rules
        ):
            return known
        return self.classify(exc, operation), retry_after(exc)

    def fingerprint(self, exc: BaseException) -> Fingerprint | None:
        """What outcomes of this failure are kept under; None where they would decide nothing.

        That is where nobody gathers them, and where a rule, a code, a table or a message decides.
        """
        cls = type(exc)
        if self.outcomes is None or cls in ALONE or by_remembered_code(cls, exc) is not None:
            return None
        return fingerprint_of(exc) if self.explain(exc).layer in _GUESSES else None

    def explain(self, exc: BaseException, operation: str | None = None) -> Explanation:
        """The kind of failure, the layer that decided and on what."""
        try:
            return self._explain(exc, set(), operation)
        except Exception:
            # An exception that misbehaves when it is looked at is one that nobody knows.
            _logger.debug("could not classify %s", qualified_name(type(exc)), exc_info=True)
            return NOTHING_KNOWN

    def _explain(
        self, exc: BaseException, seen: set[int], operation: str | None = None
    ) -> Explanation:
        own = self._sure(exc)
        if own is not None:
            return own
        if not isinstance(exc, Exception | BaseExceptionGroup):
            return NOTHING_KNOWN  # a cancellation or an exit, whatever it interrupted
        seen.add(id(exc))
        found = self._of_group(exc, seen)
        if found is not None:
            return found
        rest = list(behind(exc))
        return (
            self._of_chain(rest, seen)
            or _first_message(exc, *rest)
            or _first_presumed(exc, *rest)
            or self._of_outcomes(exc, operation)
            or self._of_model(exc)
            or NOTHING_KNOWN
        )

    def _sure(self, exc: BaseException) -> Explanation | None:
        """What the exception says by itself: rules, then codes, then its type."""
        for rule in self._rules:
            answer = _asked(rule, exc)
            if answer is not None:
                return Explanation(answer, Layer.RULE, getattr(rule, "__name__", "a rule"))
        return explain_code(exc) or by_type(type(exc))[0]

    def _of_chain(self, rest: list[BaseException], seen: set[int]) -> Explanation | None:
        for each in rest:
            found = self._sure(each) or self._of_group(each, seen)
            if found is not None:
                where = f"{qualified_name(type(each))}: {found.detail}"
                return Explanation(found.error_type, Layer.CAUSE, where)
        return None

    def _of_outcomes(self, exc: BaseException, operation: str | None) -> Explanation | None:
        outcomes = self.outcomes
        if operation is None or outcomes is None or not outcomes.speaks_of(operation):
            return None
        outcome = outcomes.verdict(operation, fingerprint_of(exc).key)
        if outcome is None:
            return None
        retried = outcome.recovered + outcome.lasting
        detail = f"{outcome.recovered} of {retried} retried calls of {operation} recovered"
        if outcome.verdict is Verdict.PASSES:
            return Explanation(ErrorType.TRANSIENT, Layer.OUTCOME, detail)
        guess = self._guess(exc)
        lasting = guess is not None and guess.error_type is not ErrorType.TRANSIENT
        kind = guess.error_type if guess is not None and lasting else ErrorType.CONFIGURATION
        return Explanation(kind, Layer.OUTCOME, detail)

    def _of_model(self, exc: BaseException) -> Explanation | None:
        guess = self._guess(exc)
        if guess is None or guess.confidence < SURE_ENOUGH[guess.error_type]:
            return None
        words = ", ".join(self._words.reasons(tokens_of(exc), guess.error_type))
        detail = f"{guess.confidence:.0%} sure, by the words {words}"
        return Explanation(guess.error_type, Layer.LEARNED, detail)

    def _guess(self, exc: BaseException) -> Guess | None:
        if self._model is False or isinstance(exc, BaseExceptionGroup):
            return None  # of a group, each member has been asked about
        return self._words.guess(tokens_of(exc))

    @property
    def _words(self) -> Model:
        return self._model or shipped_model()

    def _of_group(self, exc: BaseException, seen: set[int]) -> Explanation | None:
        """A group is its least retryable member; None where the members are unknown."""
        if not isinstance(exc, BaseExceptionGroup):
            return None
        fresh = [member for member in members(exc) if id(member) not in seen]
        if not fresh or len(seen) > _MOST_LOOKED_AT:
            return None
        found = [self._explain(member, seen) for member in fresh]
        least = min(found, key=lambda each: LEAST_RETRYABLE_FIRST.index(each.error_type))
        if least.error_type is ErrorType.UNKNOWN:
            return None
        return Explanation(least.error_type, Layer.GROUP, f"member: {least.detail}")


def _asked(rule: RuleFunction, exc: BaseException) -> ErrorType | None:
    try:
        answer = rule(exc)
        return None if answer is None else ErrorType(answer)
    except Exception:
        # A rule that fails must not hide the failure that is being classified.
        _logger.warning("classification rule %r failed; it is passed over", rule, exc_info=True)
        return None


def _first_message(*chain: BaseException) -> Explanation | None:
    for each in chain:
        found = explain_message(text_of(each))
        if found is not None:
            return found
    return None


def _first_presumed(*chain: BaseException) -> Explanation | None:
    for each in chain:
        found = by_type(type(each))[1]
        if isinstance(each, KeyError) and _is_from_environment(each):
            detail = "an environment variable that isn't set"
            return Explanation(ErrorType.CONFIGURATION, Layer.PRESUMED, detail)
        if found is not None:
            return found
    return None


def _is_from_environment(exc: KeyError) -> bool:
    """Whether ``os.environ`` raised it: then no record lacks the key, the set-up does."""
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__") == "os"


default_classifier = Classifier()
