"""Log lines of events: structured, masked, one line each, and bounded in a storm."""

import io
import json
import logging

import pytest
import structlog

from seawall import ErrorRecoveryManager
from seawall.errors import InvalidConfigError
from seawall.events import (
    BreakerTransition,
    ErrorLogged,
    RetryScheduled,
    RunEnded,
)
from seawall.instrumentation.lines import LINES, SELF_LOGGED, one_line
from seawall.instrumentation.logs import log_events
from seawall.instrumentation.storm import Storm
from seawall.scope import NO_SCOPE, Scope
from support.every_event import KINDS, event_of


class ManualClock:
    now = 100.0

    def monotonic(self):
        return self.now


RESERVED = {*vars(logging.makeLogRecord({})), "message", "asctime"}


@pytest.fixture
def manager():
    return ErrorRecoveryManager("postgresql://nobody@localhost/nothing", pipeline_id="p")


@pytest.fixture
def logged(caplog):
    for name in ("seawall", "ErrorRecoveryManager"):
        caplog.set_level(logging.DEBUG, name)
    return caplog


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_is_a_line_with_its_fields(kind, manager, logged):
    log_events(manager)
    event = event_of(kind)
    manager.bus.emit(event)
    if kind in SELF_LOGGED:
        assert logged.records == []
        return
    (record,) = logged.records
    assert record.getMessage()
    assert record.name == "ErrorRecoveryManager" or record.name.startswith("seawall.")
    assert record.event_type == kind.__name__
    assert record.run_id == "run-4711"
    assert record.step == getattr(event, "step", "load")
    assert set(LINES[kind].key) <= set(vars(record))
    added = set(vars(record)) - RESERVED
    assert not added & RESERVED
    assert "event" not in added  # structlog's own word
    json.dumps({name: getattr(record, name) for name in added})


def test_secrets_are_masked_and_a_line_is_one_line(manager, logged):
    log_events(manager)
    message = "no login to postgresql://me:hunter2@db/x\nERROR forged line\x1b[31m"
    manager.bus.emit(event_of(RetryScheduled, message=message))
    (record,) = logged.records
    assert "hunter2" not in record.getMessage() + record.error_message
    assert "\n" not in record.getMessage()
    assert "\x1b" not in record.getMessage()
    assert "forged" in record.error_message


def test_no_name_can_forge_a_line(manager, logged):
    log_events(manager)
    scope = Scope("p\n1", "r\r\n2", "s\x853", "v\u20284")
    for kind in KINDS:
        manager.bus.emit(event_of(kind, scope=scope))
    for record in logged.records:
        text = record.getMessage() + f"{record.pipeline_id}{record.run_id}{record.release}"
        assert len(text.splitlines()) == 1
    assert one_line("Zürich, 東京\t1") == "Zürich, 東京\\t1"


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (event_of(RunEnded, status="failed", message="X: y"), logging.ERROR),
        (event_of(RunEnded, status="succeeded", message=None), logging.INFO),
        (event_of(BreakerTransition, to_state="open"), logging.WARNING),
        (event_of(BreakerTransition, to_state="closed"), logging.INFO),
        (event_of(ErrorLogged), logging.ERROR),
    ],
)
def test_levels_say_how_bad_it_is(event, level, manager, logged):
    log_events(manager)
    manager.bus.emit(event)
    assert [record.levelno for record in logged.records] == [level]


def test_what_happens_outside_a_run_is_the_managers_pipeline(manager, logged):
    log_events(manager)
    manager.bus.emit(event_of(ErrorLogged, scope=NO_SCOPE))
    assert logged.records[0].pipeline_id == "p"
    assert logged.records[0].run_id is None


def test_a_storm_is_a_few_lines_and_a_count(manager, logged):
    undo = log_events(manager, most_per_minute=3)
    for number in range(1_000):
        manager.bus.emit(event_of(RetryScheduled, message=f"order {number} timed out"))
    manager.bus.emit(event_of(RetryScheduled, exception_type="AnotherError"))
    assert len(logged.records) == 3 + 1  # another kind of failure is not drowned
    undo()
    assert len(logged.records) == 5
    summary = logged.records[-1]
    assert summary.suppressed_count == 997
    assert summary.event_type == "RetryScheduledSummary"
    assert summary.operation == "a operation"
    assert "997 more RetryScheduled" in summary.getMessage()
    manager.bus.emit(event_of(RetryScheduled))
    assert len(logged.records) == 5


def test_the_count_comes_when_the_minute_is_over():
    clock, told = ManualClock(), []
    storm = Storm(2, told.append, clock)
    assert [storm.admits(("a",), 20) for _ in range(5)] == [True, True, False, False, False]
    clock.now += 61
    assert storm.admits(("b",), 20)
    assert [(each.key, each.count, each.seconds) for each in told] == [(("a",), 3, 61.0)]
    assert storm.admits(("a",), 20)
    storm.close()
    assert len(told) == 1


async def test_the_count_comes_by_itself_where_nothing_else_happens(clock):
    told = []
    storm = Storm(2, told.append, clock)
    for _ in range(5):
        storm.admits(("a",), 20)
    await clock.sleep(59)
    assert told == []
    await clock.sleep(2)
    assert [each.count for each in told] == [3]
    for _ in range(5):
        storm.admits(("b",), 20)
    await clock.sleep(61)
    assert [each.key for each in told] == [("a",), ("b",)]


def test_keys_of_a_storm_are_bounded():
    told = []
    storm = Storm(1, told.append, ManualClock())
    admitted = sum(storm.admits(("kind", str(number)), 20) for number in range(5_000))
    assert admitted == 1_001
    assert len(storm._counts) == 1_001
    storm.close()
    assert [(each.key, each.count) for each in told] == [(("kind",), 3_999)]


def test_the_number_of_lines_is_checked(manager):
    with pytest.raises(InvalidConfigError, match="most_per_minute"):
        log_events(manager, most_per_minute=0)


@pytest.mark.parametrize("through", ["structlog", "json"])
def test_extras_reach_json(through, manager):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    if through == "structlog":
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=[
                    structlog.stdlib.add_log_level,
                    structlog.stdlib.add_logger_name,
                    structlog.stdlib.ExtraAdder(),
                ],
                processors=[
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.JSONRenderer(),
                ],
            )
        )
    else:
        handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("seawall.retry")
    logger.addHandler(handler)
    before, logger.level = logger.level, logging.INFO
    try:
        log_events(manager)
        manager.bus.emit(event_of(RetryScheduled, wait_seconds=0.25, message="no\nroute"))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    line = json.loads(stream.getvalue())
    assert line["event_type"] == "RetryScheduled"
    assert line["run_id"] == "run-4711"
    assert line["wait_seconds"] == 0.25
    assert line["event" if through == "structlog" else "text"].startswith("a operation: attempt 3")


class JsonFormatter(logging.Formatter):
    """As those of the packages do it: what a bare record doesn't have is an extra."""

    def format(self, record):
        extra = {key: value for key, value in vars(record).items() if key not in RESERVED}
        return json.dumps({"text": record.getMessage(), **extra})
