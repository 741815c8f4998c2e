"""A batch that kills its worker again and again: made smaller, until one record is left. Pure.

A start that neither committed nor ended in order is silent. After two of them the next batches are
a tenth of the size, and a tenth of that after each further one. Workers die of other things too, so
that a record alone is convicted by more: each attempt at it is written down before it is made, and
three of them must have ended with the worker. It is then set aside unseen. Suspected are as many
records as the batch had that began it.
"""

from dataclasses import dataclass

from seawall.checkpoint.model import Suspicion

_FIRST_DOUBT = 3  # the start before which two were silent
_FURTHER_DOUBT = 2
_DIVISOR = 10
_DEATHS = 3  # over one and the same record, alone in its batch


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
    if suspicion is not None and suspicion.deaths >= _DEATHS:
        return Plan(suspicion, set_aside=True, silent_starts=1)
    if silent_starts < (_FIRST_DOUBT if suspicion is None else _FURTHER_DOUBT):
        return Plan(suspicion, set_aside=False, silent_starts=silent_starts)
    # From here on this start is the first one with the smaller size.
    size, rows = (size, size) if suspicion is None else (suspicion.size, suspicion.rows)
    smaller = Suspicion(size=-(-size // _DIVISOR), rows=rows)
    if suspicion is not None and suspicion.size == smaller.size:
        smaller = suspicion  # its deaths still count
    return Plan(smaller, set_aside=False, silent_starts=1)


def after(suspicion: Suspicion | None, rows: int) -> Suspicion | None:
    """What is still suspected once ``rows`` records more are committed."""
    if suspicion is None or suspicion.rows <= rows:
        return None
    return Suspicion(size=suspicion.size, rows=suspicion.rows - rows)
