"""A batch that kills its worker again and again: made smaller, until one record is left. Pure.

A start that neither committed nor ended in order is silent. After two of them the next batches are
a tenth of the size, and a tenth of that after each further one, until the worker dies twice over a
single record: that one is set aside unseen. Suspected are as many records as the batch had that
began it.
"""

from dataclasses import dataclass

from seawall.checkpoint.model import Suspicion

_FIRST_DOUBT = 3  # the start before which two were silent
_FURTHER_DOUBT = 2
_DIVISOR = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """How a start goes on.

    Attributes:
        suspicion: what is now suspected, or None.
        set_aside: the first record is at fault: to be quarantined without being looked at.
        silent_starts: from what the next start counts.
    """

    suspicion: Suspicion | None
    set_aside: bool
    silent_starts: int


def plan(silent_starts: int, suspicion: Suspicion | None, size: int) -> Plan:
    """What the ``silent_starts``-th start without a commit does.

    Args:
        silent_starts: starts since the last commit or orderly end, this one included.
        suspicion: what was suspected so far.
        size: records that a batch has otherwise.
    """
    if silent_starts < (_FIRST_DOUBT if suspicion is None else _FURTHER_DOUBT):
        return Plan(suspicion, set_aside=False, silent_starts=silent_starts)
    # From here on this start is the first one with the smaller size.
    if suspicion is None:
        return Plan(Suspicion(-(-size // _DIVISOR), size), set_aside=size == 1, silent_starts=1)
    if suspicion.size == 1:
        return Plan(suspicion, set_aside=True, silent_starts=1)
    smaller = -(-suspicion.size // _DIVISOR)
    return Plan(Suspicion(smaller, suspicion.rows), set_aside=False, silent_starts=1)


def after(suspicion: Suspicion | None, rows: int) -> Suspicion | None:
    """What is still suspected once ``rows`` records more are committed."""
    if suspicion is None or suspicion.rows <= rows:
        return None
    return Suspicion(suspicion.size, suspicion.rows - rows)
