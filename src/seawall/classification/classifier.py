"""The classifier: asks the layers in their order and says which one decided."""

import logging
from collections.abc import Callable, Iterable, Mapping

from seawall.classification.chain import behind, members
from seawall.classification.class_word import by_class_words
from seawall.classification.codes import explain_code, may_carry_code
from seawall.classification.error_type import LEAST_RETRYABLE_FIRST, ErrorType
from seawall.classification.explanation import NOTHING_KNOWN, Explanation, Layer
from seawall.classification.message import explain_message
from seawall.classification.reading import qualified_name, text_of
from seawall.classification.retry_after import may_ask_to_wait, retry_after
from seawall.classification.type_name import PRESUMED, TYPES
from seawall.errors import InvalidConfigError

_logger = logging.getLogger("seawall.classification")

RuleFunction = Callable[[BaseException], ErrorType | None]
Rule = (
    RuleFunction | tuple[type[BaseException], ErrorType] | Mapping[type[BaseException], ErrorType]
)

_Known = tuple[Explanation | None, Explanation | None]
_MOST_CLASSES = 4096


class Classifier:
    """Says what kind of failure an exception is; never raises, whatever it is given.

    May be shared between tasks and threads. ``rules`` are asked before everything else, in their
    order; the first that does not answer None decides.

    Args:
        rules: functions ``exc -> ErrorType | None``, pairs ``(exception type, ErrorType)``, or
            mappings of such pairs; a pair holds for subclasses too.

    Raises:
        InvalidConfigError: a rule has another shape.
    """

    __slots__ = ("_rules",)

    def __init__(
        self, rules: Iterable[Rule] | Mapping[type[BaseException], ErrorType] = ()
    ) -> None:
        self._rules: tuple[RuleFunction, ...] = ()
        for rule in (rules,) if isinstance(rules, Mapping) else rules:
            self.add_rule(rule)

    def add_rule(self, rule: Rule) -> None:
        """Ask ``rule`` too, after the rules already there and before the tables.

        Raises:
            InvalidConfigError: it is no function, pair or mapping of pairs.
        """
        self._rules = (*self._rules, *_functions(rule))

    def classify(self, exc: BaseException) -> ErrorType:
        """The kind of failure; UNKNOWN where no layer knows."""
        return self.judge(exc)[0]

    def judge(self, exc: BaseException) -> tuple[ErrorType, float | None]:
        """The kind of failure, and the seconds that a server asked to wait (see ``retry_after``).

        Both in one look: a plain exception with nothing on it and none behind it is judged by its
        type, in a fraction of a microsecond.
        """
        known = _BARE.get(type(exc))
        if (
            known is not None
            and not exc.args
            and exc.__cause__ is None
            and (exc.__context__ is None or exc.__suppress_context__)
            and not exc.__dict__
            and not self._rules
        ):
            return known
        alone = _ALONE.get(type(exc))
        if alone is None or self._rules or exc.__dict__:
            alone = self.explain(exc).error_type
        return alone, retry_after(exc)

    def explain(self, exc: BaseException) -> Explanation:
        """The kind of failure, the layer that decided and on what."""
        try:
            return self._explain(exc, set())
        except Exception:
            # An exception that misbehaves when it is looked at is one that nobody knows.
            _logger.debug("could not classify %s", qualified_name(type(exc)), exc_info=True)
            return NOTHING_KNOWN

    def _explain(self, exc: BaseException, seen: set[int]) -> Explanation:
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
            or NOTHING_KNOWN
        )

    def _sure(self, exc: BaseException) -> Explanation | None:
        """What the exception says by itself: rules, then codes, then its type."""
        for rule in self._rules:
            answer = _asked(rule, exc)
            if answer is not None:
                return Explanation(answer, Layer.RULE, getattr(rule, "__name__", "a rule"))
        return explain_code(exc) or _by_type(type(exc))[0]

    def _of_chain(self, rest: list[BaseException], seen: set[int]) -> Explanation | None:
        for each in rest:
            found = self._sure(each) or self._of_group(each, seen)
            if found is not None:
                where = f"{qualified_name(type(each))}: {found.detail}"
                return Explanation(found.error_type, Layer.CAUSE, where)
        return None

    def _of_group(self, exc: BaseException, seen: set[int]) -> Explanation | None:
        """A group is its least retryable member; None where the members are unknown."""
        fresh = [member for member in members(exc) if id(member) not in seen]
        if not fresh or len(seen) > _MOST_CLASSES:
            return None
        found = [self._explain(member, seen) for member in fresh]
        least = min(found, key=lambda each: LEAST_RETRYABLE_FIRST.index(each.error_type))
        if least.error_type is ErrorType.UNKNOWN:
            return None
        return Explanation(least.error_type, Layer.GROUP, f"member: {least.detail}")


def _functions(rule: Rule) -> list[RuleFunction]:
    if isinstance(rule, Mapping):
        return [_pair(exception, answer) for exception, answer in rule.items()]
    shape: object = rule  # callers without a type checker pass anything
    if isinstance(shape, tuple) and len(shape) == 2:
        return [_pair(*shape)]
    if callable(rule) and not isinstance(shape, type):
        return [rule]
    raise InvalidConfigError(
        f"rule {rule!r}: must be a function exc -> ErrorType | None,"
        " a pair (exception type, ErrorType) or a mapping of pairs"
    )


def _pair(exception: object, answer: object) -> RuleFunction:
    if not (isinstance(exception, type) and issubclass(exception, BaseException)):
        raise InvalidConfigError(f"rule ({exception!r}, {answer!r}): must name an exception type")
    try:
        error_type = ErrorType(str(answer))
    except ValueError:
        kinds = ", ".join(ErrorType)
        raise InvalidConfigError(
            f"rule ({exception!r}, {answer!r}): must be one of {kinds}"
        ) from None

    def rule(exc: BaseException) -> ErrorType | None:
        return error_type if isinstance(exc, exception) else None

    rule.__name__ = f"rule for {qualified_name(exception)}"
    return rule


def _asked(rule: RuleFunction, exc: BaseException) -> ErrorType | None:
    try:
        answer = rule(exc)
        return None if answer is None else ErrorType(answer)
    except Exception:
        # A rule that fails must not hide the failure that is being classified.
        _logger.warning("classification rule %r failed; it is passed over", rule, exc_info=True)
        return None


def _by_type(cls: type) -> _Known:
    """What the type decides and what it lets us presume, by its nearest base in the tables."""
    known = _BY_TYPE.get(cls)
    if known is None:
        if len(_BY_TYPE) > _MOST_CLASSES:  # clients that make a class a call must not fill memory
            for cache in (_BY_TYPE, _ALONE, _BARE):
                cache.clear()
        known = _BY_TYPE[cls] = _looked_up(cls)
        if not _may_hold_more(cls):
            found = known[0] or known[1] or NOTHING_KNOWN
            _BARE[cls] = (found.error_type, None)
    return known


def _may_hold_more(cls: type) -> bool:
    """Whether its exceptions may say more than their type, with no message and nothing on them."""
    if not issubclass(cls, Exception) or issubclass(cls, BaseExceptionGroup):
        return True
    # An errno agrees with the names that Python has made for them; elsewhere it says more.
    if issubclass(cls, OSError) and (cls is OSError or cls.__module__ != "builtins"):
        return True
    return may_carry_code(cls) or may_ask_to_wait(cls)


def _looked_up(cls: type) -> _Known:
    for base in cls.__mro__:
        name = qualified_name(base)
        if name in TYPES:
            if base is cls and not may_carry_code(cls):
                _ALONE[cls] = TYPES[name]
            return Explanation(TYPES[name], Layer.TYPE, name), None
        if name in PRESUMED:
            # A broad base of Python's own says less than the words of the type's own name.
            words = by_class_words(cls.__name__) if base.__module__ == "builtins" else None
            return None, Explanation(words or PRESUMED[name], Layer.PRESUMED, name)
    # Python's own names are in the tables, or say nothing: NotImplementedError is a bug.
    suggested = None if cls.__module__ == "builtins" else by_class_words(cls.__name__)
    if suggested is None:
        return None, None
    return None, Explanation(suggested, Layer.PRESUMED, f"the name {cls.__name__}")


def _first_message(*chain: BaseException) -> Explanation | None:
    for each in chain:
        found = explain_message(text_of(each))
        if found is not None:
            return found
    return None


def _first_presumed(*chain: BaseException) -> Explanation | None:
    for each in chain:
        found = _by_type(type(each))[1]
        if found is not None:
            return found
    return None


_BY_TYPE: dict[type, _Known] = {}
# Types that decide by themselves: in the table under their own name, with no place for a code.
_ALONE: dict[type, ErrorType] = {}
# What an exception is that carries nothing but its type: no message, and none behind it.
_BARE: dict[type, tuple[ErrorType, None]] = {}

default_classifier = Classifier()
