"""Levels: a status that changes only when enough samples say so, and goes back later than it came.

Without this a reading that hovers at its threshold would tell of a crossing at every sample.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seawall.health.reading import HealthStatus, Reading
from seawall.health.rules import Rule

# A reading is back once it is so much below the threshold that it had passed (a share of it).
HYSTERESIS = 0.05

_MOST_SUBJECTS = 256  # disks; beyond it nobody has configured them


class Level:
    """The told status of one reading."""

    __slots__ = ("_rule", "_runs", "status")

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self.status = HealthStatus.OK
        # How many samples in a row, the last included, were that bad (up) or that good (down).
        self._runs = {"up": 0, "down": 0}

    def observe(self, value: float) -> HealthStatus | None:
        """Take one sample; the new status where it changes."""
        plain = self._rule.judge(value)
        # Going down is judged by lower thresholds: what is between them changes nothing.
        held = self._rule.judge(value, 1 - HYSTERESIS)
        before = self.status
        if plain.severity > before.severity:
            self._enter("up", plain)
        elif held.severity < before.severity:
            self._enter("down", held)
        else:
            self._runs = {"up": 0, "down": 0}
        return None if self.status is before else self.status

    def _enter(self, way: str, status: HealthStatus) -> None:
        count = self._runs[way] + 1
        self._runs = {"up": 0, "down": 0}
        if count >= self._rule.samples:
            self.status = status
        else:
            self._runs[way] = count


@dataclass(frozen=True, slots=True)
class Crossing:
    """A reading whose told status has changed."""

    reading: Reading
    before: HealthStatus
    after: HealthStatus
    threshold: float | None


class Levels:
    """The levels of all readings of a worker."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = rules
        self._levels: dict[tuple[str, str | None], Level] = {}

    def observe(self, found: Sequence[Reading]) -> list[Crossing]:
        """Take the readings of one sample; those whose status changes.

        A reading that is missing changes nothing.
        """
        crossings = []
        for reading in found:
            key = (reading.name, reading.subject)
            level = self._levels.get(key)
            if level is None:
                if len(self._levels) >= _MOST_SUBJECTS:
                    continue
                level = self._levels[key] = Level(self._rules[reading.name])
            before = level.status
            after = level.observe(reading.value)
            if after is not None:
                crossings.append(self._crossing(reading, before, after))
        return crossings

    def _crossing(self, reading: Reading, before: HealthStatus, after: HealthStatus) -> Crossing:
        rule = self._rules[reading.name]
        higher = max(before, after, key=lambda each: each.severity)
        threshold = rule.critical if higher is HealthStatus.CRITICAL else rule.warn
        return Crossing(reading, before, after, threshold)
