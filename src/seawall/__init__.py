"""Asyncio ETL workers that fail safely: retry, breakers, exactly-once checkpoints, quarantine.

The public names, loaded on first use, so that ``import seawall`` costs little.
"""

import importlib
from typing import TYPE_CHECKING, Any

from seawall._version import __version__ as __version__

# Named as the packages that they live in: only an import that has happened keeps the name theirs.
from seawall.fallback import fallback as fallback
from seawall.hedge import hedge as hedge
from seawall.retry import retry as retry
from seawall.timeout import timeout as timeout

if TYPE_CHECKING:
    from seawall.actions import RecoveryAction as RecoveryAction
    from seawall.alerts import Alert as Alert
    from seawall.alerts import Alertmanager as Alertmanager
    from seawall.alerts import Apprise as Apprise
    from seawall.alerts import Notification as Notification
    from seawall.alerts import Severity as Severity
    from seawall.alerts import Webhook as Webhook
    from seawall.analysis import FailureAnalysis as FailureAnalysis
    from seawall.budget.rule import BurnRule as BurnRule
    from seawall.budget.status import ErrorBudgetStatus as ErrorBudgetStatus
    from seawall.budget.store import ErrorBudgetAlert as ErrorBudgetAlert
    from seawall.bulkhead import AIMD as AIMD
    from seawall.bulkhead import Bulkhead as Bulkhead
    from seawall.bulkhead import Gradient as Gradient
    from seawall.checkpoint import Batch as Batch
    from seawall.checkpoint import Checkpoint as Checkpoint
    from seawall.checkpoint import CheckpointStrategy as CheckpointStrategy
    from seawall.checkpoint import Step as Step
    from seawall.checkpoint import StepProgress as StepProgress
    from seawall.checkpoint import StreamReport as StreamReport
    from seawall.checkpoint import Tolerance as Tolerance
    from seawall.checkpoint import WhenHeld as WhenHeld
    from seawall.circuitbreaker import CircuitBreaker as CircuitBreaker
    from seawall.circuitbreaker import CircuitState as CircuitState
    from seawall.classification import Classifier as Classifier
    from seawall.classification import ErrorType as ErrorType
    from seawall.config import RecoveryConfig as RecoveryConfig
    from seawall.conflict import OnConflict as OnConflict
    from seawall.errors import AlertDeliveryError as AlertDeliveryError
    from seawall.errors import AttemptTimeoutError as AttemptTimeoutError
    from seawall.errors import BulkheadFullError as BulkheadFullError
    from seawall.errors import CheckpointError as CheckpointError
    from seawall.errors import CircuitOpenError as CircuitOpenError
    from seawall.errors import CodecError as CodecError
    from seawall.errors import DatabaseUnavailableError as DatabaseUnavailableError
    from seawall.errors import DeadlineExceededError as DeadlineExceededError
    from seawall.errors import DiscardRecordError as DiscardRecordError
    from seawall.errors import EmbeddedServerError as EmbeddedServerError
    from seawall.errors import ErrorBudgetExhaustedError as ErrorBudgetExhaustedError
    from seawall.errors import InvalidConfigError as InvalidConfigError
    from seawall.errors import InvalidRecordError as InvalidRecordError
    from seawall.errors import JournalFullError as JournalFullError
    from seawall.errors import MigrationError as MigrationError
    from seawall.errors import MissingProcessorError as MissingProcessorError
    from seawall.errors import MissingTableError as MissingTableError
    from seawall.errors import NotStartedError as NotStartedError
    from seawall.errors import PayloadTooLargeError as PayloadTooLargeError
    from seawall.errors import QuarantineError as QuarantineError
    from seawall.errors import QuarantineKeyError as QuarantineKeyError
    from seawall.errors import RateLimitedError as RateLimitedError
    from seawall.errors import RecordRefusedError as RecordRefusedError
    from seawall.errors import RefusedError as RefusedError
    from seawall.errors import RetryBudgetExhaustedError as RetryBudgetExhaustedError
    from seawall.errors import SeawallError as SeawallError
    from seawall.errors import ShutdownError as ShutdownError
    from seawall.errors import SinkError as SinkError
    from seawall.errors import SourceChangedError as SourceChangedError
    from seawall.errors import SourceError as SourceError
    from seawall.errors import StaleRunError as StaleRunError
    from seawall.errors import StepHeldError as StepHeldError
    from seawall.errors import TooManyBadRecordsError as TooManyBadRecordsError
    from seawall.errors import TransactionEndedError as TransactionEndedError
    from seawall.errors import UnknownPatternError as UnknownPatternError
    from seawall.errors import UnsupportedServerError as UnsupportedServerError
    from seawall.fallback import LastGood as LastGood
    from seawall.file_load import FileFormat as FileFormat
    from seawall.file_load import FileLoadReport as FileLoadReport
    from seawall.health import HealthStatus as HealthStatus
    from seawall.health import SystemHealth as SystemHealth
    from seawall.manager import ErrorRecoveryManager as ErrorRecoveryManager
    from seawall.patterns import ErrorPattern as ErrorPattern
    from seawall.patterns import PatternMiner as PatternMiner
    from seawall.patterns import PatternStatus as PatternStatus
    from seawall.patterns import Trend as Trend
    from seawall.patterns import stack_fingerprint as stack_fingerprint
    from seawall.pipeline import Policy as Policy
    from seawall.policies import PolicyRegistry as PolicyRegistry
    from seawall.postgres.table_source import TableSource as TableSource
    from seawall.quarantine.frames import frame_of as frame_of
    from seawall.quarantine.growth import QuarantineGrowth as QuarantineGrowth
    from seawall.quarantine.processor import Discard as Discard
    from seawall.quarantine.record import QuarantinedRecord as QuarantinedRecord
    from seawall.quarantine.record import RecordFilter as RecordFilter
    from seawall.quarantine.reprocess import ReprocessMetrics as ReprocessMetrics
    from seawall.quarantine.transfer import ImportReport as ImportReport
    from seawall.ratelimiter import RateLimiter as RateLimiter
    from seawall.records import Malformed as Malformed
    from seawall.records import RecordSource as RecordSource
    from seawall.retry import CallRecord as CallRecord
    from seawall.retry import Jitter as Jitter
    from seawall.retry import RetryBudget as RetryBudget
    from seawall.retry import RetryInfo as RetryInfo
    from seawall.retry import RetryPolicy as RetryPolicy
    from seawall.retry import RetryStrategy as RetryStrategy
    from seawall.retry import StopReason as StopReason
    from seawall.retry import record_calls as record_calls
    from seawall.retry import retrying as retrying
    from seawall.sink import CsvLine as CsvLine
    from seawall.sink import FileSink as FileSink
    from seawall.sink import committed_files as committed_files
    from seawall.source import CsvSource as CsvSource
    from seawall.source import FilesSource as FilesSource
    from seawall.source import JsonLinesSource as JsonLinesSource
    from seawall.source import skip_forward as skip_forward
    from seawall.tuning import AutoTuning as AutoTuning
    from seawall.tuning import RetryAdvice as RetryAdvice
    from seawall.tuning import TuningChange as TuningChange

_HOMES = {
    "actions": "RecoveryAction",
    "budget.rule": "BurnRule",
    "budget.status": "ErrorBudgetStatus",
    "budget.store": "ErrorBudgetAlert",
    "alerts": "Alert Alertmanager Apprise Notification Severity Webhook",
    "analysis": "FailureAnalysis",
    "bulkhead": "AIMD Bulkhead Gradient",
    "checkpoint": "Batch Checkpoint CheckpointStrategy Step StepProgress StreamReport Tolerance "
    "WhenHeld",
    "circuitbreaker": "CircuitBreaker CircuitState",
    "classification": "Classifier ErrorType",
    "config": "RecoveryConfig",
    "conflict": "OnConflict",
    "errors": "AlertDeliveryError AttemptTimeoutError BulkheadFullError CheckpointError "
    "CircuitOpenError CodecError "
    "DatabaseUnavailableError DeadlineExceededError DiscardRecordError EmbeddedServerError "
    "ErrorBudgetExhaustedError InvalidConfigError InvalidRecordError JournalFullError "
    "MigrationError "
    "MissingProcessorError MissingTableError NotStartedError "
    "PayloadTooLargeError QuarantineError QuarantineKeyError RateLimitedError RecordRefusedError "
    "RefusedError RetryBudgetExhaustedError SeawallError ShutdownError SinkError "
    "SourceChangedError SourceError StaleRunError StepError StepHeldError "
    "TooManyBadRecordsError TransactionEndedError UnknownPatternError UnsupportedServerError",
    "fallback": "LastGood",
    "file_load": "FileFormat FileLoadReport",
    "health": "HealthStatus SystemHealth",
    "manager": "ErrorRecoveryManager",
    "patterns": "ErrorPattern PatternMiner PatternStatus Trend stack_fingerprint",
    "pipeline": "Policy",
    "policies": "PolicyRegistry",
    "postgres.table_source": "TableSource",
    "quarantine.growth": "QuarantineGrowth",
    "quarantine.processor": "Discard",
    "quarantine.record": "QuarantinedRecord RecordFilter",
    "quarantine.frames": "frame_of",
    "quarantine.reprocess": "ReprocessMetrics",
    "quarantine.transfer": "ImportReport",
    "ratelimiter": "RateLimiter",
    "records": "Malformed RecordSource",
    "retry": "CallRecord Jitter RetryBudget RetryInfo RetryPolicy RetryStrategy StopReason "
    "record_calls retrying",
    "sink": "CsvLine FileSink committed_files",
    "source": "CsvSource FilesSource JsonLinesSource skip_forward",
    "tuning": "AutoTuning RetryAdvice TuningChange",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = ["__version__", "fallback", "hedge", "retry", "timeout", *_HOME_OF]  # noqa: PLE0604 - names, all of them


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'seawall' has no attribute {name!r}")
    return getattr(importlib.import_module(f"seawall.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
