"""What happened, as frozen values, and the bus that takes them to whoever listens.

Every part reports by ``bus.emit(event)`` and by nothing else; tables, log lines, metrics and
alerts are listeners. A listener is a plain callable: one that raises is logged and harms nobody.
"""

from seawall.events.call import (
    BreakerTransition,
    BulkheadRejected,
    FallbackExhausted,
    FallbackUsed,
    HedgeStarted,
    RateLimited,
    RetryExhausted,
    RetryScheduled,
    RetrySucceeded,
)
from seawall.events.event import Event, EventBus, Listener, default_bus
from seawall.events.watch import (
    BudgetAlert,
    ErrorLogged,
    FailureRateChanged,
    HealthChanged,
    JournalOpened,
    JournalReplayed,
    PatternSeen,
    RecoveryActionTaken,
    TelemetryDropped,
)
from seawall.events.work import (
    BatchCommitted,
    BatchRetried,
    BatchStuck,
    CheckpointSaved,
    LeaseLost,
    RecordsQuarantined,
    RunAbandoned,
    RunEnded,
    RunStarted,
    RunStuck,
    StepEnded,
)

__all__ = [
    "BatchCommitted",
    "BatchRetried",
    "BatchStuck",
    "BreakerTransition",
    "BudgetAlert",
    "BulkheadRejected",
    "CheckpointSaved",
    "ErrorLogged",
    "Event",
    "EventBus",
    "FailureRateChanged",
    "FallbackExhausted",
    "FallbackUsed",
    "HealthChanged",
    "HedgeStarted",
    "JournalOpened",
    "JournalReplayed",
    "LeaseLost",
    "Listener",
    "PatternSeen",
    "RateLimited",
    "RecordsQuarantined",
    "RecoveryActionTaken",
    "RetryExhausted",
    "RetryScheduled",
    "RetrySucceeded",
    "RunAbandoned",
    "RunEnded",
    "RunStarted",
    "RunStuck",
    "StepEnded",
    "TelemetryDropped",
    "default_bus",
]
