"""The code layer: SQLSTATE, errno, HTTP, gRPC and vendor codes, wherever clients keep them."""

import errno
import socket
import sqlite3
import ssl
from email.message import Message
from urllib.error import HTTPError

import asyncpg
import httpx
import pytest

from seawall.classification import ErrorType, Layer, default_classifier

T, C, D, S = ErrorType.TRANSIENT, ErrorType.CONFIGURATION, ErrorType.DATA, ErrorType.SYSTEM


def made(module, name="Error", bases=(Exception,), args=(), **attributes):
    """An exception as a client library would raise it, without the library."""
    exc = type(name, bases, {"__module__": module})(*args)
    for key, value in attributes.items():
        setattr(exc, key, value)
    return exc


class Holder:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


def decided(exc):
    found = default_classifier.explain(exc)
    assert default_classifier.classify(exc) is found.error_type
    return found.error_type, found.layer


@pytest.mark.parametrize(
    ("cls", "error_type"),
    [
        (asyncpg.UniqueViolationError, D),
        (asyncpg.NumericValueOutOfRangeError, D),
        (asyncpg.UndefinedTableError, C),
        (asyncpg.InvalidPasswordError, C),
        (asyncpg.ReadOnlySQLTransactionError, C),
        (asyncpg.DatatypeMismatchError, D),
        (asyncpg.SerializationError, T),
        (asyncpg.DeadlockDetectedError, T),
        (asyncpg.LockNotAvailableError, T),
        (asyncpg.TooManyConnectionsError, T),
        (asyncpg.AdminShutdownError, T),
        (asyncpg.ConnectionDoesNotExistError, T),
        (asyncpg.QueryCanceledError, T),
        (asyncpg.DiskFullError, S),
        (asyncpg.OutOfMemoryError, S),
        (asyncpg.DataCorruptedError, S),
    ],
)
def test_asyncpg_error_is_classified_by_its_sqlstate(cls, error_type):
    assert decided(cls("the message says permission denied")) == (error_type, Layer.CODE)


def test_sqlstate_of_psycopg2_is_its_pgcode():
    assert decided(made("psycopg2.errors", pgcode="40001")) == (T, Layer.CODE)


def test_sqlstate_that_tells_nothing_leaves_it_to_the_message():
    """psycopg gives no SQLSTATE for a connection that failed; ASSERT's is anybody's bug."""
    exc = made("psycopg", "OperationalError", args=("FATAL: out of memory",), sqlstate=None)
    assert decided(exc) == (S, Layer.MESSAGE)
    assert decided(made("x", sqlstate="P0004")) == (ErrorType.UNKNOWN, Layer.NONE)


@pytest.mark.parametrize(
    ("number", "error_type"),
    [
        (errno.ECONNRESET, T),
        (errno.EHOSTUNREACH, T),
        (errno.EACCES, C),
        (errno.ENOENT, C),
        (errno.EADDRINUSE, C),
        (errno.EILSEQ, D),
        (errno.ENOSPC, S),
        (errno.EMFILE, S),
        (errno.EIO, S),
    ],
)
def test_os_error_is_classified_by_its_errno(number, error_type):
    assert decided(OSError(number, "whatever")) == (error_type, Layer.CODE)


@pytest.mark.parametrize(("number", "error_type"), [(socket.EAI_AGAIN, T), (socket.EAI_NONAME, C)])
def test_resolver_error_is_classified_by_its_code(number, error_type):
    assert decided(socket.gaierror(number, "whatever")) == (error_type, Layer.CODE)


def test_numbers_of_openssl_and_kafka_are_no_errnos():
    """Both call theirs ``errno``: 1 is EPERM for neither, 5 is EIO for neither."""
    assert decided(ssl.SSLError(5, "x")) == (C, Layer.TYPE)
    kafka = made("aiokafka.errors", "LeaderNotAvailableError", errno=5, retriable=True)
    assert decided(kafka) == (T, Layer.CODE)
    assert decided(made("aiokafka.errors", "InvalidTopicError", errno=5)) == (C, Layer.TYPE)


@pytest.mark.parametrize(
    ("status", "error_type"),
    [(400, D), (401, C), (403, C), (404, C), (408, T), (409, D), (418, C), (422, D), (429, T)]
    + [(500, T), (501, C), (502, T), (503, T), (504, T), (507, S), (529, T)],
)
def test_http_error_of_every_client_is_classified_by_its_status(status, error_type):
    request = httpx.Request("GET", "http://localhost")
    response = httpx.Response(status, request=request)
    for exc in (
        httpx.HTTPStatusError("x", request=request, response=response),
        made("requests.exceptions", "HTTPError", response=Holder(status_code=status)),
        made("aiohttp.client_exceptions", "ClientResponseError", status=status),
        made("urllib3.exceptions", "HTTPError", response=Holder(status=status)),
        made("elasticsearch", "ApiError", status_code=status),
        HTTPError("http://localhost", status, "x", Message(), None),
        made("google.api_core.exceptions", "GoogleAPICallError", code=status),
    ):
        assert decided(exc) == (error_type, Layer.CODE)


@pytest.mark.parametrize(
    "exc",
    [
        made("xml.parsers.expat", "ExpatError", code=503),
        made("sqlalchemy.exc", "ArgumentError", code="f405"),
        made("requests.exceptions", "TooManyRedirects", response=Holder(status_code=302)),
        made("aiohttp.client_exceptions", "ContentTypeError", status=200),
    ],
)
def test_code_that_is_no_http_error_leaves_it_to_the_type(exc):
    assert decided(exc)[1] is Layer.TYPE


@pytest.mark.parametrize(
    ("status", "error_type"), [("UNAVAILABLE", T), ("INVALID_ARGUMENT", D), ("UNIMPLEMENTED", C)]
)
def test_grpc_error_is_classified_by_its_status(status, error_type):
    exc = made("grpc.aio._call", "AioRpcError")
    exc.code = lambda: Holder(name=status)
    assert decided(exc) == (error_type, Layer.CODE)


def test_grpc_resource_exhausted_is_configuration_where_a_message_was_too_large():
    for text, error_type in (("quota", T), ("Received message larger than max (9 vs 4)", C)):
        exc = made("grpc", "RpcError", args=(text,))
        exc.code = lambda: Holder(name="RESOURCE_EXHAUSTED")
        assert decided(exc) == (error_type, Layer.CODE)


@pytest.mark.parametrize(
    ("code", "status", "error_type"),
    [("SlowDown", 503, T), ("ThrottlingException", 400, T), ("AccessDenied", 403, C)]
    + [("ValidationException", 400, D), ("NewlyInvented", 400, D), ("NewlyInvented", 503, T)],
)
def test_aws_error_is_classified_by_its_code_then_by_its_status(code, status, error_type):
    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    exc = made("botocore.exceptions", "ClientError", response=response)
    assert decided(exc) == (error_type, Layer.CODE)


def test_google_rate_limit_behind_a_403_is_transient():
    errors = [{"reason": "rateLimitExceeded"}]
    exc = made("google.api_core.exceptions", "Forbidden", code=403, errors=errors)
    assert decided(exc) == (T, Layer.CODE)


def test_sqlite_error_is_classified_by_its_primary_code():
    connection = sqlite3.connect(":memory:")
    try:
        with pytest.raises(sqlite3.IntegrityError) as caught:
            connection.executescript(
                "create table t (a primary key); insert into t values (1), (1)"
            )
    finally:
        connection.close()
    assert decided(caught.value) == (D, Layer.CODE)


@pytest.mark.parametrize(
    ("exc", "error_type"),
    [
        (made("pymysql.err", "OperationalError", args=(1213, "Deadlock found")), T),
        (made("pymysql.err", "OperationalError", args=(1045, "Access denied")), C),
        (made("pymysql.err", "IntegrityError", args=(1062, "Duplicate")), D),
        (made("mysql.connector.errors", "DatabaseError", errno=1021), S),
        (made("pymongo.errors", "OperationFailure", code=112), T),
        (made("pymongo.errors", "OperationFailure", code=18), C),
        (made("pymongo.errors", "OperationFailure", code=121), D),
        (made("redis.exceptions", "ResponseError", args=("WRONGTYPE Operation against",)), D),
        (made("redis.exceptions", "ResponseError", args=("OOM command not allowed",)), S),
        (made("redis.exceptions", "MovedError", status_code="MOVED"), T),
        (made("smtplib", "SMTPResponseException", smtp_code=421), T),
        (made("smtplib", "SMTPResponseException", smtp_code=535), C),
        (made("smtplib", "SMTPResponseException", smtp_code=552), D),
    ],
)
def test_vendor_code_decides(exc, error_type):
    assert decided(exc) == (error_type, Layer.CODE)


def test_explanation_names_the_code():
    assert default_classifier.explain(asyncpg.UniqueViolationError("x")).detail == "SQLSTATE 23505"
