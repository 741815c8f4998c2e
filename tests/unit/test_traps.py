"""The 33 traps that other retry and breaker libraries fell into, and the tests that keep us out.

The number is that of the list the library was built from; each line says what went wrong elsewhere.
"""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SOURCE = TESTS.parent / "src" / "seawall"

TRAPS = {
    1: (
        "a predicate that sees a cancellation swallows it",
        "unit/test_retry_tenacity.py::test_retry_object_is_never_shown_a_cancellation",
        "unit/test_retry_cancellation.py::test_cancelled_call_ends_at_once_and_is_not_called_again",
        "unit/test_retry_cancellation.py::test_closed_coroutine_ends_without_another_call",
        "unit/test_retry_cancellation.py::test_exit_raised_by_the_operation_passes_at_once",
    ),
    2: (
        "a cancelled call counted as failure or success",
        "unit/test_circuitbreaker_breaker.py::test_cancelled_call_is_neither_failure_nor_success",
    ),
    3: (
        "a half-open permit kept by a cancelled, closed or dead caller",
        "unit/test_circuitbreaker_breaker.py::"
        "test_trial_that_is_cancelled_or_closed_gives_its_permit_back",
        "integration/fleet/test_breaker_fleet.py::"
        "test_coroutine_closed_in_a_trial_gives_its_permit_back",
        "chaos/test_breakers.py::test_prober_that_ends_gives_its_permit_back",
    ),
    4: (
        "giving back by an await that is cancelled too",
        "unit/test_policies.py::test_cancellation_at_every_await_leaves_nothing",
        "integration/fleet/test_breaker_fleet.py::"
        "test_trial_without_a_verdict_gives_its_permit_back_at_once",
    ),
    5: (
        "`except*` that makes a group of a naked exception",
        "unit/test_traps.py::test_source_has_no_except_star",
    ),
    6: (
        "exception groups that nobody looks into",
        "unit/test_retry_call.py::test_group_is_retried_as_its_least_retryable_member",
        "unit/test_retry_cancellation.py::test_group_with_a_cancellation_in_it_passes_at_once",
        "unit/test_circuitbreaker_breaker.py::test_group_counts_as_one_failure",
    ),
    7: (
        "a deadline's own error retried, or a dependency's timeout taken for ours",
        "unit/test_retry_time.py::test_deadline_in_the_middle_of_an_attempt_ends_it",
        "unit/test_timeout.py::test_timeout_own_timeout_error_passes",
    ),
    8: (
        "a deadline overshot by waits and attempts",
        "unit/test_retry_time.py::test_deadline_bounds_attempts_and_waits_together",
    ),
    9: (
        "context variables lost in a task of the timeout's own",
        "unit/test_retry_time.py::test_context_variables_set_inside_stay_set",
        "unit/test_timeout.py::test_timeout_call_runs_in_the_callers_task",
    ),
    10: (
        "half-open lets the whole herd through",
        "unit/test_circuitbreaker_breaker.py::test_half_open_admits_one_of_a_herd",
        "chaos/test_breakers.py::test_half_open_admits_the_permitted_calls_under_a_herd",
    ),
    11: (
        "a call admitted before the trip closes the breaker",
        "unit/test_circuitbreaker_breaker.py::test_stale_outcome_decides_nothing",
        "integration/fleet/test_breaker_fleet.py::"
        "test_call_admitted_before_the_trip_decides_nothing",
    ),
    12: (
        "an ignored exception keeps a permit, or resets the count",
        "unit/test_circuitbreaker_breaker.py::"
        "test_ignored_exception_does_not_end_a_run_and_frees_the_permit",
    ),
    13: (
        "thresholds that can't be reached",
        "unit/test_circuitbreaker_breaker.py::test_options_that_could_never_work_are_refused",
    ),
    14: (
        "late failures that extend the break or tell it twice",
        "unit/test_circuitbreaker_machine.py::test_late_failures_do_not_extend_it",
        "unit/test_circuitbreaker_breaker.py::test_transitions_are_told_once_each",
    ),
    15: (
        "a listener that raises or re-enters breaks the breaker",
        "unit/test_circuitbreaker_breaker.py::test_listener_that_raises_or_reenters_harms_nobody",
        "unit/test_circuitbreaker_breaker.py::test_listener_that_resets_the_breaker_wins",
    ),
    16: (
        "the wall clock, which steps",
        "unit/test_circuitbreaker_breaker.py::test_wall_clock_that_steps_changes_nothing",
        "unit/test_retry_time.py::test_wall_clock_is_never_asked",
    ),
    17: (
        "lost updates and stale successes in shared state",
        "chaos/test_breakers.py::test_eight_failures_in_two_processes_are_recorded_as_eight",
        "chaos/test_breakers.py::test_late_and_repeated_notifications_change_nothing",
    ),
    18: (
        "lost notifications, a server that is gone, forks and foreign event loops",
        "chaos/test_breakers.py::test_lost_notifications_are_made_good_by_the_regular_exchange",
        "chaos/test_breakers.py::test_server_out_of_reach_every_worker_goes_on_then_agrees",
        "integration/fleet/test_breaker_fleet.py::test_breaker_after_a_fork_goes_on_alone",
        "integration/fleet/test_breaker_fleet.py::"
        "test_breaker_used_in_another_event_loop_goes_on_alone",
    ),
    19: (
        "a write a call, on one locked row",
        "integration/fleet/test_breaker_fleet.py::test_calls_closed_and_open_ask_nothing",
    ),
    20: (
        "one sick worker opens the breaker for all",
        "chaos/test_breakers.py::test_one_sick_worker_opens_its_own_breaker_only",
    ),
    21: (
        "numbers that a fraction normalises away",
        "unit/test_circuitbreaker_breaker.py::test_options_that_could_never_work_are_refused",
    ),
    22: (
        "one retry object shared by concurrent calls",
        "unit/test_retry_tenacity.py::"
        "test_objects_shared_by_concurrent_calls_keep_each_calls_state",
    ),
    23: (
        "waits shared by concurrent calls",
        "unit/test_retry_call.py::test_policy_shared_by_many_tasks_keeps_each_calls_own_waits",
    ),
    24: (
        "what belongs to a call held on the decorator",
        "unit/test_retry_memory.py::test_decorator_holds_nothing_of_its_calls",
        "unit/test_retry_options.py::test_records_of_tasks_side_by_side_are_apart",
    ),
    25: (
        "nested retries that multiply, budgets that are one a decorator",
        "unit/test_retry_nesting.py::test_three_nested_layers_make_the_calls_of_one",
        "unit/test_retry_options.py::test_budget_of_one_name_is_one_in_the_process",
    ),
    26: (
        "a sleep after the last attempt; jitter that the cap swallows",
        "unit/test_retry_call.py::test_no_sleep_follows_the_last_attempt",
        "unit/test_retry_backoff.py::test_jitter_at_the_cap_still_differs_in_every_form",
    ),
    27: (
        "callable objects and partials with an async core taken for plain functions",
        "unit/test_retry_decorator.py::test_callable_with_an_async_core_is_retried",
        "unit/test_retry_decorator.py::test_what_cannot_be_wrapped_is_refused_at_decoration",
    ),
    28: (
        "the operation's own exception replaced by the library's",
        "unit/test_retry_call.py::test_exception_that_leaves_is_the_last_one_with_one_note",
        "unit/test_circuitbreaker_breaker.py::test_exception_leaves_as_it_was",
    ),
    29: (
        "exceptions that can't be pickled or take no note",
        "unit/test_errors.py::test_error_pickles_takes_notes_and_passes_through_context_managers",
    ),
    30: (
        "one stored exception raised again and again",
        "unit/test_retry_memory.py::test_refusals_never_gather_a_traceback",
        "unit/test_retry_memory.py::"
        "test_operation_that_raises_one_instance_leaves_after_fifty_attempts",
    ),
    31: (
        "a failed attempt's frames kept alive",
        "unit/test_retry_memory.py::test_failed_attempts_frame_is_free_before_the_next",
        "unit/test_retry_memory.py::test_breaker_keeps_no_exception",
    ),
    32: (
        "caches keyed by the id of what was freed",
        "unit/test_retry_decorator.py::test_two_decorated_functions_never_share_state",
    ),
    33: (
        "a slot lost between its hand-over and a cancellation",
        "unit/test_bulkhead.py::test_bulkhead_waiter_cancelled_at_the_hand_over_loses_no_slot",
    ),
}


def test_every_trap_is_listed():
    assert sorted(TRAPS) == list(range(1, 34))


@pytest.mark.parametrize("number", TRAPS)
def test_trap_has_its_tests(number):
    """A test that is renamed or deleted is missed here."""
    _, *tests = TRAPS[number]
    assert tests
    for test in tests:
        path, name = test.split("::")
        tree = ast.parse((TESTS / path).read_text())
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        assert name in {n.name for n in ast.walk(tree) if isinstance(n, functions)}, test


def test_source_has_no_except_star():
    """Trap 5: a naked ValueError raised again from `except*` comes out as a group."""
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        assert not any(isinstance(node, ast.TryStar) for node in ast.walk(tree)), path
