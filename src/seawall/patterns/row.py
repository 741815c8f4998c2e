"""A pattern as the fleet keeps it, and how counts and patterns are added to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from seawall.classification import ErrorType
from seawall.patterns.gathered import DIMENSIONS, MOST_SAMPLES, Gathered, merged_counts
from seawall.patterns.known import Template
from seawall.patterns.ledger import Sampled, values_at
from seawall.patterns.pattern import PatternStatus
from seawall.patterns.values import TopValues

NEW, REGRESSION = "new", "regression"


@dataclass(slots=True, kw_only=True)
class PatternRow:
    """One pattern of the fleet; times are seconds since the epoch by the database's clock.

    Attributes:
        pattern_id: its id now.
        error_type: the recovery class.
        template: what its messages have in common.
        frequency: errors in all.
        first_seen, last_seen: of its errors.
        status: open, resolved or ignored.
        status_changed_at: when it became so.
        status_actor: who made it so.
        status_reason: why.
        regressed_at: when it last came back.
        regression_count: how often it did.
        seen_in: counts by dimension and value.
        variables: for each variable of the template its commonest values.
        sample_ids: some of its errors.
        recommended_action: what to do.
    """

    pattern_id: str
    error_type: ErrorType
    template: Template
    first_seen: float
    last_seen: float
    frequency: int = 0
    status: str = PatternStatus.OPEN
    status_changed_at: float | None = None
    status_actor: str | None = None
    status_reason: str | None = None
    regressed_at: float | None = None
    regression_count: int = 0
    seen_in: dict[str, dict[str, int]] = field(default_factory=dict)
    variables: list[dict[str, int]] = field(default_factory=list)
    sample_ids: list[UUID] = field(default_factory=list)
    recommended_action: str | None = None

    def generalize(self, template: Template) -> None:
        """Take a template that covers the one of before."""
        mine = self.template
        if mine.tokens != template.tokens:
            known = [TopValues(dict(each)) for each in self.variables]
            places = values_at(template.tokens, mine.tokens, known, self.frequency)
            self.variables = [each.weights for each in places]
        self.template = Template(template.tokens, least(mine.spaced, template.spaced))

    def add(self, gathered: Gathered, values: Sequence[Sampled]) -> str | None:
        """Count what a worker gathered; what is to be told of it.

        Args:
            gathered: the errors.
            values: those of each of their shapes, which the template covers.
        """
        seen = None if self.frequency else NEW
        self.frequency += gathered.count
        self.first_seen = min(self.first_seen, gathered.first)
        self.last_seen = max(self.last_seen, gathered.last)
        for dimension in DIMENSIONS:
            self.seen_in[dimension] = merged_counts(
                self.seen_in.get(dimension, {}), gathered.seen_in[dimension], dimension
            )
        self.sample(gathered.sample_ids)
        for shape in values:
            self._add_values(shape.at(self.template.tokens))
        if self.status == PatternStatus.RESOLVED and gathered.last > (self.status_changed_at or 0):
            self.status, self.status_changed_at = PatternStatus.OPEN, gathered.last
            self.status_actor = self.status_reason = None
            self.regressed_at = gathered.last
            self.regression_count += 1
            seen = REGRESSION
        return seen

    def take(self, other: "PatternRow") -> None:
        """Take in a pattern that turned out to be this one; both have the same template."""
        if self.status != other.status:
            self._become(PatternStatus.OPEN, None)
        elif (other.status_changed_at or 0) > (self.status_changed_at or 0):
            self._become(other.status, other)
        self.frequency += other.frequency
        self.first_seen = min(self.first_seen, other.first_seen)
        self.last_seen = max(self.last_seen, other.last_seen)
        self.regressed_at = max(self.regressed_at or 0, other.regressed_at or 0) or None
        self.regression_count += other.regression_count
        for dimension in DIMENSIONS:
            self.seen_in[dimension] = merged_counts(
                self.seen_in.get(dimension, {}), other.seen_in.get(dimension, {}), dimension
            )
        self.sample(other.sample_ids)
        self._add_values([TopValues(dict(each)) for each in other.variables])
        self.recommended_action = self.recommended_action or other.recommended_action

    def _become(self, status: str, like: "PatternRow | None") -> None:
        self.status = status
        self.status_changed_at = like.status_changed_at if like else None
        self.status_actor = like.status_actor if like else None
        self.status_reason = like.status_reason if like else None

    def sample(self, error_ids: Sequence[UUID]) -> None:
        """Keep the latest: UUIDv7 grow with time."""
        self.sample_ids = sorted({*self.sample_ids, *error_ids})[-MOST_SAMPLES:]

    def _add_values(self, places: Sequence[TopValues]) -> None:
        while len(self.variables) < len(places):
            self.variables.append({})
        for at, values in enumerate(places):
            kept = TopValues(dict(self.variables[at]))
            for text, weight in sorted(values.weights.items(), key=lambda pair: (-pair[1], pair)):
                kept.add(text, weight)
            self.variables[at] = kept.weights


def least(one: int | None, other: int | None) -> int | None:
    """The smaller, where both are there."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
