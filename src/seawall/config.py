"""RecoveryConfig: the manager's options, each with its range, checked when it is built."""

import difflib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from seawall.errors import InvalidConfigError


@dataclass(frozen=True, slots=True)
class Range:
    """The values one option may take, and how to say so."""

    kind: type
    low: float = 0
    high: float = math.inf
    low_open: bool = False

    def describe(self) -> str:
        noun = "a whole number" if self.kind is int else "a number"
        start = f"above {self.low:g}" if self.low_open else f"{self.low:g} or more"
        return f"{noun}, {start}" if self.high == math.inf else f"{noun}, {start}, to {self.high:g}"

    def accepts(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | self.kind):
            return False
        number = float(value)  # type: ignore[arg-type]
        above = number > self.low if self.low_open else number >= self.low
        return above and number <= self.high and math.isfinite(number)

    def check(self, name: str, value: object) -> None:
        """Refuse a value out of range.

        Raises:
            InvalidConfigError: names the option, the value and what would be right.
        """
        if not self.accepts(value):
            raise InvalidConfigError(f"{name}={value!r}: must be {self.describe()}")


_RANGES = {
    "max_retries": Range(int),
    "backoff_factor": Range(float, 1),
    "initial_delay": Range(float),
    "max_delay": Range(float),
    "jitter_range": Range(float, 0, 1),
    "circuit_breaker_threshold": Range(int, 1),
    "circuit_breaker_timeout": Range(float, low_open=True),
    "checkpoint_batch_size": Range(int, 1),
    "checkpoint_interval_minutes": Range(float, low_open=True),
    "checkpoint_data_limit": Range(int, 1),
    "checkpoint_history": Range(int),
    "checkpoint_history_seconds": Range(float),
    "lease_seconds": Range(float, 1),
    "quorum": Range(int, 1),
    "permit_lease_seconds": Range(float, low_open=True),
    "breaker_poll_seconds": Range(float, low_open=True),
    "caller_seconds": Range(float, low_open=True),
    "pattern_flush_seconds": Range(float, low_open=True),
    "automatic_actions_per_hour": Range(int),
    "tuning_min_delay": Range(float, low_open=True),
    "tuning_max_delay": Range(float, low_open=True),
    "tuning_min_retries": Range(int),
    "tuning_max_retries": Range(int, 0, 100),
    "tuning_failure_seconds": Range(float, low_open=True),
    "pool_size": Range(int, 2, 1000),
    "connect_timeout": Range(float, low_open=True),
    "bad_record_tolerance": Range(float, 0, 1),
    "bad_record_allowance": Range(int),
    "quarantine_compress_above": Range(int, 0, 2**26),
    "quarantine_max_bytes": Range(int, 1, 2**30),
    "health_interval_seconds": Range(float),
    "stuck_after_seconds": Range(float),
    "error_retention_days": Range(float, 0, 36_500),
    "retry_retention_days": Range(float, 0, 36_500),
    "health_retention_days": Range(float, 0, 36_500),
    "history_retention_days": Range(float, 0, 36_500),
    "run_retention_days": Range(float, 0, 36_500),
    "journal_after": Range(float, low_open=True),
    "journal_max_bytes": Range(int),
    "budget_window_days": Range(float, 0, 400, low_open=True),
    "budget_check_seconds": Range(float, low_open=True),
}


_TUNING_MODES = ("off", "advise", "act")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryConfig:
    """Options of an ``ErrorRecoveryManager``; each is also the default of the call that takes it.

    Attributes:
        max_retries: retries after the first attempt.
        backoff_factor: by what the wait grows at each retry (1 or more).
        initial_delay: seconds before the first retry.
        max_delay: seconds that a computed wait never passes.
        jitter_range: share (0 to 1) by which a wait varies at random, up and down.
        circuit_breaker_threshold: consecutive failures that open a breaker.
        circuit_breaker_timeout: seconds that a breaker stays open.
        checkpoint_batch_size: records a batch.
        checkpoint_interval_minutes: minutes after which an unfinished batch is committed as it is.
        checkpoint_data_limit: bytes that the data of ``checkpoint_progress`` may have.
        checkpoint_history: earlier states kept of each checkpoint; 0 keeps none.
        checkpoint_history_seconds: between two of them that a streaming step keeps.
        lease_seconds: seconds that a silent worker keeps its step, and its locks.
        quorum: workers that must see a service fail before the fleet's breaker opens; all of those
            that called it lately, where they are fewer.
        permit_lease_seconds: how long a breaker's trial call outlives a worker that died in it.
        breaker_poll_seconds: between two regular exchanges of the breakers' states, beside the
            notifications.
        caller_seconds: how long after its last call a worker counts as one that calls a service.
        listen_dsn: DSN for LISTEN where ``dsn`` leads to a transaction pooler.
        require_dsn: refuse to start the embedded PostgreSQL.
        pattern_flush_seconds: between two writes of what was counted of error patterns; a worker
            that is killed loses what it counted since the last.
        recovery_knowledge: recommendations of your own, as mappings of the keys of
            ``actions/knowledge.toml``; they come before those of the package.
        automatic_actions_per_hour: automatic actions (changes by auto-tuning, and what
            ``claim_automatic_action`` asks for) of a pipeline in an hour, in the whole fleet;
            beyond it an escalation is recorded. 0: none.
        auto_tuning: ``off``: retries aren't timed; ``advise``: ``retry_advice`` says what would be
            better; ``act``: policies made by the manager follow it, where the call doesn't say.
        tuning_min_delay, tuning_max_delay: seconds, bounds of the waits that it may choose.
        tuning_min_retries, tuning_max_retries: bounds of the retries that it may choose.
        tuning_failure_seconds: what a call that fails in the end costs, in seconds of waiting.
        pool_size: connections at the most.
        connect_timeout: seconds to wait for a connection.
        bad_record_tolerance: share (0 to 1) of a run's records that may be quarantined before the
            run stops with ``TooManyBadRecordsError``.
        bad_record_allowance: bad records that a run may have whatever their share, where the
            tolerance was not given with the call: a short run's first bad row must not stop it.
        quarantine_keys: encrypt quarantined records: ``"id:base64,id:base64"``, or a mapping; the
            first encrypts, each decrypts. None: ``SEAWALL_QUARANTINE_KEYS``, else not encrypted.
        quarantine_redact: where there is no key, store quarantined records with their secrets
            masked; they can be looked at, not reprocessed.
        quarantine_compress_above: characters of a written out record above which it is compressed.
        quarantine_max_bytes: of a written out record; a larger one is refused with
            ``PayloadTooLargeError``, its batch rolled back, its position intact.
        mask_keys: names of what else is private, beside passwords and the like (``"email"``).
        mask_patterns: regular expressions of what else is; a group named ``secret`` is the part.
        mask_emails: mask e-mail addresses wherever they stand.
        mask_function: takes a text whose known secrets are masked, gives the text to be written.
        health_interval_seconds: between two samples of the machine and the process; 0: none.
        health_paths: folders whose disks are watched; empty: the working folder, the one for
            temporary files, and the embedded server's.
        health_thresholds: ``(warn, critical)`` by reading, such as ``{"disk_percent": (80, 90)}``;
            None for one of them, or for both, never alerts.
        stuck_after_seconds: after which a run that lives and saves nothing is told of as stuck; 0:
            never.
        error_retention_days: how long ``error_details`` are kept, by whole months; 0 for good.
        retry_retention_days: the same for ``retry_attempts``.
        health_retention_days: the same for ``system_health``.
        history_retention_days: how long breakers' transitions and earlier states of checkpoints
            are kept; 0 for good.
        run_retention_days: how long after its last sign of life a run is kept, with its positions;
            0 for good. A run that was deleted begins at the start when it is begun again.
        journal_after: seconds that a durable row waits for PostgreSQL before it goes to the journal
            on this machine's disk.
        journal_folder: where that is; None: the user's data folder, a folder for each database.
        journal_max_bytes: of all that waits in it; 0: no journal, durable rows raise while
            PostgreSQL can't be reached. At the bound they raise ``JournalFullError``.
        policies: named policies as plain values; see ``PolicyRegistry.configure``.

        budget_objective: share (between 0 and 1) of good runs, and of good rows, that a pipeline
            aims at.
        budget_objectives: the same of single pipelines, by their id. What
            ``set_error_budget_objective`` has set goes first.
        budget_rules: burn-rate alerts in place of the default ones: mappings of ``burn_rate``,
            ``long_seconds``, ``short_seconds`` and ``severity`` (``page`` or ``ticket``).
        budget_window_days: days that ``on_budget_exhausted`` looks back.
        budget_check_seconds: between two looks at the burn rates by one worker of the fleet, and
            between two at whose budget is gone by each.
        on_budget_exhausted: what is done where a pipeline's error budget is gone: ``none``;
            ``tighten``: half as many retries; ``stop``: new runs are refused with
            ``ErrorBudgetExhaustedError``.

    Raises:
        InvalidConfigError: a value is out of range; the message says what would be right.
    """

    max_retries: int = 3
    backoff_factor: float = 2.0
    initial_delay: float = 1.0
    max_delay: float = 300.0
    jitter_range: float = 0.1
    circuit_breaker_threshold: int = 5
    circuit_breaker_timeout: float = 300
    checkpoint_batch_size: int = 1000
    checkpoint_interval_minutes: float = 5
    checkpoint_data_limit: int = 1_048_576
    checkpoint_history: int = 10
    checkpoint_history_seconds: float = 30.0
    lease_seconds: float = 30
    quorum: int = 2
    permit_lease_seconds: float = 10.0
    breaker_poll_seconds: float = 5.0
    caller_seconds: float = 60.0
    listen_dsn: str | None = None
    require_dsn: bool = False
    pattern_flush_seconds: float = 10.0
    recovery_knowledge: Sequence[Mapping[str, Any]] = ()
    automatic_actions_per_hour: int = 10
    auto_tuning: str = "advise"
    tuning_min_delay: float = 0.1
    tuning_max_delay: float = 60.0
    tuning_min_retries: int = 1
    tuning_max_retries: int = 8
    tuning_failure_seconds: float = 300.0
    pool_size: int = 10
    connect_timeout: float = 10.0
    bad_record_tolerance: float = 0.5
    bad_record_allowance: int = 1000
    quarantine_keys: str | Mapping[str, str] | None = field(default=None, repr=False)
    quarantine_redact: bool = False
    quarantine_compress_above: int = 65_536
    quarantine_max_bytes: int = 2**30
    mask_keys: Sequence[str] = ()
    mask_patterns: Sequence[str] = ()
    mask_emails: bool = False
    mask_function: Callable[[str], str] | None = None
    health_interval_seconds: float = 30.0
    health_paths: Sequence[str] = ()
    health_thresholds: Mapping[str, Sequence[float | None] | None] = field(default_factory=dict)
    stuck_after_seconds: float = 3600.0
    error_retention_days: float = 90
    retry_retention_days: float = 30
    health_retention_days: float = 14
    history_retention_days: float = 90
    run_retention_days: float = 0
    journal_after: float = 1.0
    journal_folder: str | os.PathLike[str] | None = None
    journal_max_bytes: int = 2**28
    policies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    budget_objective: float = 0.99
    budget_objectives: Mapping[str, float] = field(default_factory=dict)
    budget_rules: Sequence[Mapping[str, Any]] | None = None
    budget_window_days: float = 30
    budget_check_seconds: float = 60.0
    on_budget_exhausted: str = "none"

    def __post_init__(self) -> None:
        for name, allowed in _RANGES.items():
            allowed.check(name, getattr(self, name))
        if self.initial_delay > self.max_delay:
            raise InvalidConfigError(
                f"initial_delay={self.initial_delay!r}: must not pass max_delay={self.max_delay!r}"
            )
        _check_tuning(self)
        if self.listen_dsn is not None and not isinstance(self.listen_dsn, str):
            raise InvalidConfigError(f"listen_dsn={self.listen_dsn!r}: must be a DSN or None")
        if self.journal_folder is not None and not _is_path(self.journal_folder):
            raise InvalidConfigError(
                f"journal_folder={self.journal_folder!r}: must be a folder, or None"
            )
        if not isinstance(self.policies, Mapping):
            raise InvalidConfigError(
                f"policies={self.policies!r}: must be a mapping of names to policies"
            )
        for name in ("require_dsn", "quarantine_redact", "mask_emails"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidConfigError(f"{name}={getattr(self, name)!r}: must be True or False")
        keys: object = self.quarantine_keys
        if not isinstance(keys, str | Mapping | None):
            # Not shown: it may be a key.
            kind = type(keys).__name__
            raise InvalidConfigError(f"quarantine_keys is a {kind}: must be a text or a mapping")
        _check_masks(self.mask_keys, self.mask_patterns, self.mask_function)
        _check_health(self.health_paths, self.health_thresholds)
        _check_budget(self)

    @classmethod
    def of(cls, value: "Self | Mapping[str, Any] | None") -> Self:
        """The config that a user's ``config=`` argument means.

        Raises:
            InvalidConfigError: a key is unknown (the nearest known one is named) or out of range.
        """
        if value is None:
            return cls()
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise InvalidConfigError(
                f"config={value!r}: must be a RecoveryConfig or a mapping of its keys"
            )
        known = [each.name for each in fields(cls)]
        for key in value:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
                raise InvalidConfigError(f"unknown config key {key!r}; {hint}")
        return cls(**value)


def _check_tuning(config: RecoveryConfig) -> None:
    if config.auto_tuning not in _TUNING_MODES:
        raise InvalidConfigError(
            f"auto_tuning={config.auto_tuning!r}: must be one of {', '.join(_TUNING_MODES)}"
        )
    for low, high in (
        ("tuning_min_delay", "tuning_max_delay"),
        ("tuning_min_retries", "tuning_max_retries"),
    ):
        if getattr(config, low) > getattr(config, high):
            raise InvalidConfigError(
                f"{low}={getattr(config, low)!r}: must not pass {high}={getattr(config, high)!r}"
            )
    knowledge: object = config.recovery_knowledge
    if isinstance(knowledge, str) or not isinstance(knowledge, Sequence):
        raise InvalidConfigError(f"recovery_knowledge={knowledge!r}: must be a list of entries")


def _check_masks(keys: object, patterns: object, function: object) -> None:
    for name, value in (("mask_keys", keys), ("mask_patterns", patterns)):
        # One text is a sequence too: of its letters.
        if isinstance(value, str) or not isinstance(value, Sequence | set | frozenset):
            raise InvalidConfigError(f"{name}={value!r}: must be a list of texts")
    if function is not None and not callable(function):
        raise InvalidConfigError(f"mask_function={function!r}: must be a function of a text")


def _check_health(paths: object, thresholds: object) -> None:
    if isinstance(paths, str) or not isinstance(paths, Sequence) or not all(map(_is_path, paths)):
        raise InvalidConfigError(f"health_paths={paths!r}: must be a list of folders")
    if not isinstance(thresholds, Mapping) or not all(map(_is_pair, thresholds.values())):
        raise InvalidConfigError(
            f"health_thresholds={thresholds!r}: must be (warn, critical) by reading, each a number "
            "or None"
        )


def _is_path(value: object) -> bool:
    return isinstance(value, str | os.PathLike) and bool(os.fspath(value))


def _is_pair(value: object) -> bool:
    if value is None:
        return True
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
        return False
    return all(each is None or Range(float).accepts(each) for each in value)


def _check_budget(config: RecoveryConfig) -> None:
    """What can be told without the rules themselves; the manager checks the rest."""
    if not isinstance(config.budget_objectives, Mapping):
        raise InvalidConfigError(
            f"budget_objectives={config.budget_objectives!r}: must be a mapping of pipelines to "
            "objectives"
        )
    objectives: dict[str, object] = {"budget_objective": config.budget_objective}
    for pipeline_id, value in config.budget_objectives.items():
        objectives[f"budget_objectives[{pipeline_id!r}]"] = value
    for name, given in objectives.items():
        if not isinstance(given, float) or not 0 < given < 1:
            raise InvalidConfigError(f"{name}={given!r}: must be above 0 and below 1, as 0.99")
    rules: object = config.budget_rules
    if isinstance(rules, str) or not isinstance(rules, Sequence | None):
        raise InvalidConfigError(f"budget_rules={rules!r}: must be a list of mappings")
    if config.on_budget_exhausted not in ("none", "tighten", "stop"):
        raise InvalidConfigError(
            f"on_budget_exhausted={config.on_budget_exhausted!r}: must be none, tighten or stop"
        )
