import dataclasses

import pytest

from seawall import InvalidConfigError, RecoveryConfig

WRONG = {
    "max_retries": [-1, 1.5, "3", True, None],
    "backoff_factor": [0.5, "x"],
    "initial_delay": [-1, float("nan"), 301],
    "max_delay": [-1, float("inf")],
    "jitter_range": [-0.1, 1.1],
    "circuit_breaker_threshold": [0],
    "circuit_breaker_timeout": [0, -5],
    "checkpoint_batch_size": [0, 2.5],
    "checkpoint_interval_minutes": [0],
    "checkpoint_data_limit": [0, 1.5],
    "checkpoint_history": [-1],
    "checkpoint_history_seconds": [-1],
    "lease_seconds": [0.5],
    "quorum": [0],
    "permit_lease_seconds": [0],
    "breaker_poll_seconds": [0, -1],
    "caller_seconds": [0],
    "pattern_flush_seconds": [0, -1],
    "recovery_knowledge": ["free the disk", 5],
    "automatic_actions_per_hour": [-1, 1.5],
    "auto_tuning": ["on", True],
    "tuning_min_delay": [0, 61],
    "tuning_max_delay": [0],
    "tuning_min_retries": [-1, 9],
    "tuning_max_retries": [101],
    "tuning_failure_seconds": [0],
    "pool_size": [1],
    "connect_timeout": [0],
    "bad_record_tolerance": [-0.1, 1.1, True],
    "bad_record_allowance": [-1, 0.5],
    "listen_dsn": [5],
    "require_dsn": ["yes"],
    "quarantine_redact": [1],
    "quarantine_compress_above": [-1, 1.5, 2**27],
    "quarantine_max_bytes": [0, 2**31],
    "mask_keys": ["email", 5],
    "mask_patterns": ["x+"],
    "mask_emails": ["yes"],
    "mask_function": ["upper"],
    "health_interval_seconds": [-1],
    "health_paths": ["/data", [5], [""]],
    "health_thresholds": [
        5,
        {"disk_percent": 85},
        {"disk_percent": (80, 90, 95)},
        {"cpu_percent": "9"},
    ],
    "stuck_after_seconds": [-1],
    "error_retention_days": [-1, 40_000],
    "retry_retention_days": [-1],
    "health_retention_days": [-1],
    "history_retention_days": [-1],
    "run_retention_days": [-1],
    "policies": [["billing"]],
    "budget_objective": [0, 1, 99, "0.99", True],
    "budget_objectives": [["a"], 0.99],
    "budget_rules": ["page", 14.4],
    "journal_after": [0, -1],
    "journal_folder": [5, ""],
    "journal_max_bytes": [-1, 0.5],
    "budget_window_days": [0, 401],
    "budget_check_seconds": [0],
    "on_budget_exhausted": ["halt", None],
}


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, values in WRONG.items() for v in values])
def test_config_value_out_of_range_names_key_value_and_what_is_right(key, value):
    with pytest.raises(InvalidConfigError) as caught:
        RecoveryConfig.of({key: value})
    assert f"{key}={value!r}" in str(caught.value)
    assert "must" in str(caught.value)


def test_config_every_field_has_a_wrong_value_above():
    named = {field.name for field in dataclasses.fields(RecoveryConfig)}
    assert set(WRONG) == named - {"quarantine_keys"}


def test_config_keys_are_shown_in_no_message_and_no_repr():
    with pytest.raises(InvalidConfigError) as caught:
        RecoveryConfig(quarantine_keys=["hunter2"])
    assert "hunter2" not in str(caught.value)
    assert "must be" in str(caught.value)
    assert "hunter2" not in repr(RecoveryConfig(quarantine_keys="a:hunter2"))


def test_config_defaults_are_the_contracts():
    config = RecoveryConfig.of(None)
    assert (config.max_retries, config.backoff_factor, config.initial_delay) == (3, 2.0, 1.0)
    assert (config.max_delay, config.jitter_range) == (300.0, 0.1)
    assert (config.circuit_breaker_threshold, config.circuit_breaker_timeout) == (5, 300)
    assert (config.checkpoint_batch_size, config.checkpoint_interval_minutes) == (1000, 5)


def test_config_unknown_key_names_the_nearest():
    with pytest.raises(InvalidConfigError, match=r"'max_retrys'; did you mean 'max_retries'\?"):
        RecoveryConfig.of({"max_retrys": 3})
    with pytest.raises(InvalidConfigError, match="known keys: max_retries, "):
        RecoveryConfig.of({"zzz": 3})
    with pytest.raises(InvalidConfigError, match="must be a RecoveryConfig or a mapping"):
        RecoveryConfig.of(5)


def test_config_that_is_one_already_is_taken_as_it_is():
    config = RecoveryConfig(max_retries=9)
    assert RecoveryConfig.of(config) is config
