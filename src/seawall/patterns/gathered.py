"""What one worker has counted of one pattern since it last wrote: bounded, whatever comes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from seawall.classification import ErrorType

OTHER = "<other>"  # stands for all values of a dimension that are not kept apart
BUCKET_SECONDS = 21_600  # six hours
DIMENSIONS = ("pipelines", "steps", "hosts", "releases")
MOST_SAMPLES = 5
_MOST_KEPT = {"pipelines": 50, "steps": 20, "hosts": 20, "releases": 20}
_MOST_BUCKETS = 200


@dataclass(slots=True)
class Gathered:
    """Errors of one pattern.

    Attributes:
        error_type: their recovery class.
        first, last: seconds since the epoch, by the database's clock.
        count: how many.
        seen_in: by dimension and value; the sums of each dimension are exact.
        buckets: by pipeline and the start of six hours.
        sample_ids: some of them, the latest last.
    """

    error_type: ErrorType
    first: float
    last: float
    count: int = 0
    seen_in: dict[str, dict[str, int]] = field(
        default_factory=lambda: {dimension: {} for dimension in DIMENSIONS}
    )
    buckets: dict[tuple[str, int], int] = field(default_factory=dict)
    sample_ids: list[UUID] = field(default_factory=list)

    def see(
        self, at: float, pipeline: str, step: str | None, host: str, release: str | None
    ) -> None:
        """Count one."""
        self.count += 1
        self.first = min(self.first, at)
        self.last = max(self.last, at)
        seen = self.seen_in
        add_bounded(seen["pipelines"], pipeline, 1, "pipelines")
        if step is not None:
            add_bounded(seen["steps"], step, 1, "steps")
        add_bounded(seen["hosts"], host, 1, "hosts")
        if release is not None:
            add_bounded(seen["releases"], release, 1, "releases")
        self._add_bucket((pipeline, int(at // BUCKET_SECONDS) * BUCKET_SECONDS), 1)

    def sample(self, error_id: UUID) -> None:
        """Keep the id of one."""
        self.sample_ids = [*self.sample_ids, error_id][-MOST_SAMPLES:]

    def take(self, other: "Gathered") -> None:
        """Add what was counted under an id that the pattern had before."""
        self.count += other.count
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        for dimension, counts in other.seen_in.items():
            for value, count in counts.items():
                add_bounded(self.seen_in[dimension], value, count, dimension)
        for bucket, count in other.buckets.items():
            self._add_bucket(bucket, count)
        self.sample_ids = sorted((*self.sample_ids, *other.sample_ids))[-MOST_SAMPLES:]

    def _add_bucket(self, bucket: tuple[str, int], count: int) -> None:
        buckets = self.buckets
        if bucket not in buckets and len(buckets) >= _MOST_BUCKETS:
            # Many pipelines, or long without a database: exact in number, not in who and when.
            bucket = max(buckets, key=lambda known: (known[1], known[0]))
        buckets[bucket] = buckets.get(bucket, 0) + count


def add_bounded(counts: dict[str, int], value: str, count: int, dimension: str) -> None:
    """Count a value, as ``OTHER`` where as many as are kept are there."""
    if value not in counts and len(counts) >= _MOST_KEPT[dimension]:
        value = OTHER
    counts[value] = counts.get(value, 0) + count


def merged_counts(old: Mapping[str, int], new: Mapping[str, int], dimension: str) -> dict[str, int]:
    """The sums; of too many values the rarest of those not seen lately become ``OTHER``."""
    total = dict(old)
    for value, count in new.items():
        total[value] = total.get(value, 0) + count
    values = sorted(total.keys() - {OTHER}, key=lambda each: (each not in new, -total[each], each))
    for value in values[_MOST_KEPT[dimension] :]:
        total[OTHER] = total.get(OTHER, 0) + total.pop(value)
    return total
