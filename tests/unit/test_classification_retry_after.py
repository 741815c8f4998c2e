"""The wait that a server asked for (R3), wherever clients keep it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace

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


def varint(value):
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


RETRY_INFO = field(1, field(1, 3) + field(2, 500_000_000))
STATUS = (
    field(1, 14)
    + field(2, b"try later")
    + field(3, field(1, b"type.googleapis.com/google.rpc.DebugInfo") + field(2, b"stack"))
    + field(3, field(1, b"type.googleapis.com/google.rpc.RetryInfo") + field(2, RETRY_INFO))
)


@pytest.mark.parametrize(
    "metadata",
    [
        [("google.rpc.retryinfo-bin", RETRY_INFO)],
        [("other", "x"), ("grpc-status-details-bin", STATUS)],
    ],
)
def test_google_retry_info_is_read_from_the_trailing_metadata(metadata):
    assert retry_after(with_attributes(trailing_metadata=lambda: metadata)) == 3.5


def test_google_retry_info_among_the_details_is_read():
    delay = SimpleNamespace(seconds=2, nanos=250_000_000)
    details = [SimpleNamespace(other=1), SimpleNamespace(retry_delay=delay)]
    assert retry_after(with_attributes(details=details)) == 2.25
    details = [SimpleNamespace(retry_delay=timedelta(seconds=4))]
    assert retry_after(with_attributes(details=details)) == 4.0


def test_status_details_cut_or_altered_anywhere_never_raise():
    """And give a wait that makes sense, or none."""
    for at in range(len(STATUS)):
        for message in (STATUS[:at], STATUS[:at] + b"\xff" + STATUS[at + 1 :]):
            metadata = [("grpc-status-details-bin", message)]
            wait = retry_after(with_attributes(trailing_metadata=lambda m=metadata: m))
            assert wait is None or 0 <= wait <= 7 * 24 * 3600


def test_date_is_measured_from_the_servers_own_date():
    """Whatever this machine's clock says."""
    headers = {
        "Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT",
        "Date": "Wed, 21 Oct 2015 07:28:00 GMT",
    }
    assert retry_after(with_attributes(headers=headers)) == 30.0
    headers["Date"] = "nonsense"
    assert retry_after(with_attributes(headers=headers)) == 0.0
