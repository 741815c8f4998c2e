"""What a metric is, whoever shows it."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a metric's values mean."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric; compared by identity.

    Attributes:
        name: dotted, without the library's name.
        kind: what its values mean.
        unit: UCUM, as OpenTelemetry has it: ``s``, ``1``, ``{row}``.
        help: one sentence.
        labels: names, in the order of a measurement's values.
        buckets: upper bounds of a histogram's buckets.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()


Measurement = tuple[Metric, float, tuple[str | None, ...]]

# Labels whose values users choose. The others are enums of ours.
OPEN = frozenset(
    {
        "pipeline",
        "action",
        "step",
        "operation",
        "service",
        "fallback",
        "bulkhead",
        "limiter",
        "subject",
    }
)
