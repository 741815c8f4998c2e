"""How long it is from one failure to the next."""

import math

from seawall.statistics.distribution import chi_square_quantile
from seawall.statistics.proportion import CONFIDENCE, Interval


def mean_interval(events: int, seconds: float, confidence: float = CONFIDENCE) -> Interval:
    """Where the mean time between events lies, of ``events`` in ``seconds`` of observation.

    Exact for events that come independently (Garwood, 1936); without an upper end where none came.

    Raises:
        ValueError: events or seconds are negative, or the confidence isn't between 0 and 1.
    """
    if events < 0 or seconds < 0 or not 0 < confidence < 1:
        raise ValueError(
            f"events and seconds aren't negative, a confidence is between 0 and 1: not {events}, "
            f"{seconds}, {confidence}"
        )
    rest = (1 - confidence) / 2
    low = 2 * seconds / chi_square_quantile(1 - rest, 2 * events + 2)
    high = 2 * seconds / chi_square_quantile(rest, 2 * events) if events else math.inf
    return Interval(low, high)
