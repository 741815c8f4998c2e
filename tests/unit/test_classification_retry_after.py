"""The wait that a server asked for (R3), wherever clients keep it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from seawall.classification import retry_after
from seawall.errors import CircuitOpenError

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def fixed_wall_clock(monkeypatch):
    import importlib

    module = importlib.import_module("seawall.classification.retry_after")
    monkeypatch.setattr(module, "utc_now", lambda: NOW)


def http_error(headers, status=503):
    request = httpx.Request("GET", "http://localhost")
    response = httpx.Response(status, headers=headers, request=request)
    return httpx.HTTPStatusError("x", request=request, response=response)


def with_attributes(**attributes):
    exc = Exception("x")
    exc.__dict__.update(attributes)
    return exc


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.0),
        ("Thu, 01 Jan 2026 12:00:30 -0000", 30.0),
        ("-3", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("9" * 400, None),
        (format_datetime(NOW + timedelta(days=3650), usegmt=True), None),
    ],
)
def test_header_is_read_as_seconds_or_as_a_date(value, seconds):
    assert retry_after(http_error({"Retry-After": value})) == seconds


def test_header_in_milliseconds_is_more_exact():
    assert retry_after(http_error({"retry-after-ms": "250", "Retry-After": "1"})) == 0.25


@pytest.mark.parametrize(
    "exc",
    [
        with_attributes(headers={"Retry-After": "4"}),
        with_attributes(retry_after=4),
        with_attributes(retry_after=timedelta(seconds=4)),
        with_attributes(retry_after="4"),
        with_attributes(response={"ResponseMetadata": {"HTTPHeaders": {"retry-after": "4"}}}),
        with_attributes(trailing_metadata=lambda: [("a", "b"), ("grpc-retry-pushback-ms", "4000")]),
        CircuitOpenError("x", 4.0),
    ],
)
def test_wait_is_found_wherever_a_client_keeps_it(exc):
    assert retry_after(exc) == 4.0


@pytest.mark.parametrize(
    "exc",
    [
        Exception("x"),
        CircuitOpenError("x", None),
        with_attributes(retry_after=True),
        with_attributes(retry_after=-1),
        with_attributes(response={"ResponseMetadata": None}),
        with_attributes(response=object(), headers=5),
        with_attributes(trailing_metadata=lambda: None),
        with_attributes(trailing_metadata=lambda: 1 / 0),
        with_attributes(trailing_metadata=lambda: [("grpc-retry-pushback-ms", "-1")]),
    ],
)
def test_no_wait_is_none(exc):
    assert retry_after(exc) is None


def test_wait_of_a_cause_counts():
    outer = RuntimeError("x")
    outer.__cause__ = http_error({"Retry-After": "9"})
    assert retry_after(outer) == 9.0


def test_longest_wait_of_a_group_counts():
    waits = [http_error({"Retry-After": "2"}), http_error({"Retry-After": "9"}), TimeoutError()]
    assert retry_after(ExceptionGroup("g", waits)) == 9.0


def test_cycle_through_a_group_ends():
    member = RuntimeError("x")
    group = ExceptionGroup("g", [member, member])
    member.__cause__ = group
    assert retry_after(group) is None


def test_headers_that_misbehave_are_no_wait():
    class Headers:
        def get(self, name):
            raise RuntimeError

    assert retry_after(with_attributes(headers=Headers())) is None
