"""Label values, bounded: a step named after each file would else be a time series each."""

from seawall.instrumentation.metric import OPEN, Metric

OTHER = "other"
_LONGEST = 200  # characters
_MOST_SETS = 1_000  # of one metric


class Names:
    """Bounds what users' names may grow to. May be shared between threads.

    Args:
        most: values that a label may have; further ones are ``other``. After 1,000 sets of labels
            of one metric, all users' names in further ones are.
    """

    def __init__(self, most: int = 100) -> None:
        self._most = most
        self._seen: dict[str, dict[str, str]] = {}
        self._sets: dict[Metric, dict[tuple[str | None, ...], tuple[str, ...]]] = {}

    def of(self, metric: Metric, values: tuple[str | None, ...]) -> tuple[str, ...]:
        """The values to show for ``metric.labels``."""
        known = self._sets.setdefault(metric, {})
        found = known.get(values)
        if found is not None:
            return found
        pairs = list(zip(metric.labels, values, strict=True))
        if len(known) >= _MOST_SETS:
            return tuple(OTHER if label in OPEN else str(value or "") for label, value in pairs)
        shown = tuple(self.name(label, value) for label, value in pairs)
        if OTHER not in shown:  # there is no end to the names behind those that are
            known[values] = shown
        return shown

    def name(self, label: str, value: str | None) -> str:
        """The value to show for one label."""
        if not value or label not in OPEN:
            return str(value or "")
        seen = self._seen.setdefault(label, {})
        found = seen.get(value)
        if found is None:
            if len(seen) >= self._most:
                return OTHER
            # A lone surrogate would make every later scrape fail.
            found = value[:_LONGEST].encode("utf-8", "replace").decode()
            seen[value] = found
        return found
