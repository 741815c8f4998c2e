"""Nested retries don't multiply: an exception that an inner policy gave up on is marked.

The mark is a number that grows with each giving-up in the process. An outer policy remembers the
number at its call's start, so that a mark from before says nothing: the same exception instance may
be raised again by a later call that no inner policy guards. One integer read is all that this costs
a call that succeeds.
"""

_MARK = "_seawall_exhausted"
_LONGEST_CHAIN = 100


class Ledger:
    """``count``: how often a policy gave up, in this process."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


ledger = Ledger()


def mark_exhausted(error: BaseException) -> None:
    """Tell outer policies that retries of this failure were tried and used up."""
    ledger.count += 1
    # Not by setattr: an exception's class may be frozen.
    error.__dict__[_MARK] = ledger.count


def is_exhausted(error: BaseException, since: int) -> bool:
    """Whether a policy gave up, after ``since``, on this error or on one that it was made from.

    Members of a group count, and causes and contexts: a retry would run the inner policy again.
    """
    if ledger.count == since:
        return False
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting and len(seen) < _LONGEST_CHAIN:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if each.__dict__.get(_MARK, 0) > since:
            return True
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(each.exceptions)
        waiting.append(each.__cause__)
        # Also where it is not to be shown (`from None`): the retries were made all the same.
        waiting.append(each.__context__)
    return False
