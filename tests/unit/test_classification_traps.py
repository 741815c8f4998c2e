"""Exceptions that mislead: each has misled another library, or a table of types, or a reader."""

import errno
import os
import socket
import ssl
import subprocess
import sys
import urllib.error

import httpx
import pytest

from seawall.classification import Classifier, ErrorType, Layer, default_classifier
from seawall.classification.throttling import is_throttled
from seawall.errors import InvalidConfigError

T, C, D, S, U = (
    ErrorType.TRANSIENT,
    ErrorType.CONFIGURATION,
    ErrorType.DATA,
    ErrorType.SYSTEM,
    ErrorType.UNKNOWN,
)


class Holder:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


def made(module, name="Error", *args, bases=(Exception,), cause=None, **attributes):
    """An exception as a client library would raise it, without the library."""
    exc = type(name, bases, {"__module__": module})(*args)
    for key, value in attributes.items():
        setattr(exc, key, value)
    exc.__cause__ = cause
    return exc


def kind(exc):
    return default_classifier.classify(exc)


def status(code, body="", module="requests.exceptions", **attributes):
    response = Holder(status_code=code, _content=body.encode())
    return made(module, "HTTPError", f"{code} Error for url", response=response, **attributes)


def rpc(name, details=""):
    return made("grpc._channel", "_InactiveRpcError", details, code=lambda: Holder(name=name))


@pytest.mark.parametrize(
    ("exc", "error_type"),
    [
        (TimeoutError(), T),
        (MemoryError(), S),
        (made("psycopg_pool", "PoolTimeout"), T),
        (httpx.PoolTimeout(""), T),
        (made("anyio", "EndOfStream"), T),
        (made("msgpack.exceptions", "UnpackException"), D),
        (made("pika.exceptions", "AMQPConnectionError"), T),
    ],
)
def test_empty_message_is_decided_by_the_type(exc, error_type):
    assert str(exc) == ""
    assert kind(exc) is error_type


REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
CERTIFICATE = ssl.SSLCertVerificationError(1, "certificate verify failed")
NO_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize(
    "outer",
    [
        lambda cause: made("httpx", "ConnectError", "All connection attempts failed", cause=cause),
        lambda cause: made("aiohttp", "ClientConnectorError", "Cannot connect", os_error=cause),
        lambda cause: urllib.error.URLError(cause),
        lambda cause: made(
            "anyio", "OSError", bases=(OSError,), cause=ExceptionGroup("x", [cause])
        ),
        lambda cause: made(
            "tenacity", "RetryError", "RetryError[…]", last_attempt=Holder(_exception=cause)
        ),
        lambda cause: made("asyncio", "OSError", "Multiple exceptions: …", cause=cause),
        lambda cause: made(
            "requests.exceptions", "ConnectionError", made("urllib3", "x", cause=cause)
        ),
    ],
)
@pytest.mark.parametrize(("cause", "error_type"), [(REFUSED, T), (CERTIFICATE, C), (NO_NAME, C)])
def test_connect_error_is_what_its_lost_cause_is(outer, cause, error_type):
    """Refused, a bad certificate and an unknown host come in one type, their codes left behind."""
    assert kind(outer(cause)) is error_type


@pytest.mark.parametrize(
    ("text", "error_type"),
    [
        ("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 111] …", T),
        ("Multiple exceptions: [Errno 13] Permission denied, [Errno 111] Connect call failed", C),
    ],
)
def test_asyncios_multiple_exceptions_are_read_from_the_text(text, error_type):
    assert kind(OSError(text)) is error_type


@pytest.mark.parametrize(
    ("exc", "error_type"),
    [
        (made("psycopg", "OperationalError", "connection refused", sqlstate=None), T),
        (made("psycopg", "OperationalError", "password authentication failed", sqlstate=None), C),
        (made("psycopg", "OperationalError", "x", sqlstate="53100"), S),
        (made("pymysql.err", "OperationalError", 1213, "Deadlock found"), T),
        (made("pymysql.err", "OperationalError", 1045, "Access denied"), C),
        (made("pymysql.err", "OperationalError", 1114, "The table is full"), S),
        (made("snowflake.connector.errors", "DatabaseError", "x", errno=250001), U),
        (
            made("x.y", "DatabaseError", "Incorrect username or password", sqlstate="08001"),
            C,
        ),
        (OSError(errno.ENOSPC, "x"), S),
        (OSError(errno.EACCES, "x"), C),
        (OSError(errno.ECONNRESET, "x"), T),
        (rpc("UNAVAILABLE", "failed to connect to all addresses; connection refused"), T),
        (rpc("UNAVAILABLE", "Ssl handshake failed: CERTIFICATE_VERIFY_FAILED"), C),
        (rpc("UNAVAILABLE", "DNS resolution failed for x:443: Domain name not found"), C),
        (rpc("INVALID_ARGUMENT"), D),
        (status(503), T),
        (status(422), D),
        (status(401), C),
        (made("redis.exceptions", "ResponseError", "OOM command not allowed"), S),
        (made("redis.exceptions", "ResponseError", "WRONGTYPE Operation against"), D),
        (made("redis.exceptions", "ResponseError", "NOPERM this user has no permissions"), C),
        (made("oracledb", "DatabaseError", "ORA-00060: deadlock detected"), T),
        (made("oracledb", "DatabaseError", "ORA-01017: invalid username/password"), C),
        (made("oracledb", "DatabaseError", "ORA-01722: invalid number"), D),
        (made("oracledb", "DatabaseError", "ORA-01653: unable to extend table"), S),
    ],
)
def test_one_type_for_opposite_things_is_told_apart(exc, error_type):
    assert Classifier(learned=False).classify(exc) is error_type


@pytest.mark.parametrize(
    ("exc", "error_type"),
    [
        (made("asyncpg.exceptions", "ConnectionDoesNotExistError", sqlstate="08003"), T),
        (made("some.driver", "ConnectionDoesNotExistError"), T),
        (made("some.driver", "SerializationFailure"), T),
        (made("some.codec", "SerializationError"), D),
        (made("lxml.etree", "XMLSyntaxError", bases=(SyntaxError,)), D),
        (
            made("elasticsearch", "ApiError", "disk usage exceeded flood-stage", status_code=429),
            S,
        ),
        (made("elasticsearch", "ApiError", "es_rejected_execution_exception", status_code=429), T),
        (rpc("RESOURCE_EXHAUSTED", "Received message larger than max (9 vs. 4)"), C),
        (rpc("RESOURCE_EXHAUSTED", "quota"), T),
        (
            made(
                "google.api_core.exceptions",
                "Forbidden",
                code=403,
                errors=[{"reason": "rateLimitExceeded"}],
            ),
            T,
        ),
        (status(403, '{"message": "API rate limit exceeded for user"}'), T),
        (status(403, '{"message": "forbidden"}'), C),
        (status(429, '{"error": {"code": "insufficient_quota"}}'), C),
        (status(409, '{"error": {"code": "LeaseAlreadyPresent"}}'), T),
        (status(500, '{"error": "no space left on device"}'), S),
        (made("azure.core.exceptions", "HttpResponseError", status_code=409, error_code="X"), D),
    ],
)
def test_name_or_status_that_misleads_is_corrected(exc, error_type):
    assert kind(exc) is error_type


@pytest.mark.parametrize("name", ["retriable", "retryable", "is_retryable"])
def test_client_that_says_retriable_itself_is_believed_and_its_no_leaves_the_kind_open(name):
    assert kind(made("any.client", "NodeError", **{name: True})) is T
    found = default_classifier.explain(
        made("any.client", "NodeError", "disk full", **{name: False})
    )
    assert (found.error_type, found.layer) == (S, Layer.MESSAGE)


def test_rate_limit_behind_a_403_is_a_throttling_too():
    assert is_throttled(status(403, '{"message": "API rate limit exceeded"}'))
    assert not is_throttled(status(403, '{"message": "forbidden"}'))


def test_body_of_a_response_that_was_not_read_is_left_alone():
    class Response:
        status_code = 403

        @property
        def text(self):
            raise AssertionError("reading would wait for the network")

        content = text

    assert kind(made("requests.exceptions", "HTTPError", "x", response=Response())) is C


@pytest.mark.parametrize(
    ("module", "name", "base"),
    [
        ("redis.exceptions", "AuthenticationError", "ConnectionError"),
        ("requests.exceptions", "SSLError", "ConnectionError"),
    ],
)
def test_subclass_that_must_not_be_retried_is_found_below_one_that_may(module, name, base):
    parent = type(base, (OSError,), {"__module__": module})
    assert kind(parent("x")) is T
    assert kind(type(name, (parent,), {"__module__": module})("x")) is C
    # A name that no table has, under a base that Python calls transient.
    assert kind(made("mylib", "AuthenticationError", bases=(ConnectionError,))) is C


@pytest.mark.parametrize("column", ["timeout", "connection timed out", "deadlock"])
def test_column_in_an_sqlalchemy_message_says_nothing(column):
    text = (
        f'(x.Error) something odd in "{column}"\n[SQL: INSERT INTO t ({column}) VALUES (%s)]\n'
        f"[parameters: ('{column}',)]\n(Background on this error at: https://sqlalche.me/e/20/gkpj)"
    )
    exc = made("sqlalchemy.exc", "DBAPIError", text, code="gkpj")
    found = default_classifier.explain(exc)
    assert found.error_type is not T
    assert found.layer is not Layer.MESSAGE


@pytest.mark.parametrize(
    "exc",
    [
        RuntimeError("retry timeout counter must not be negative"),
        TypeError("f() takes 2 positional arguments but 3 were given"),
        TypeError("f() got an unexpected keyword argument 'timeout'"),
        NotImplementedError(),
        NameError("name 'timeout' is not defined"),
        AssertionError("invariant broken"),
        RuntimeError("no running event loop"),
    ],
)
def test_bug_is_unknown_and_no_layer_guesses_at_it(exc):
    assert kind(exc) is U


@pytest.mark.parametrize(
    ("text", "error_type", "detail"),
    [
        ("query failed: SQLSTATE[40001]: serialization", T, "SQLSTATE 40001"),
        (
            "('42S02', \"[42S02] [vendor][SQL Server]Invalid object name. (208)\")",
            C,
            "SQL Server 208",
        ),
        ("1205 (HY000): Lock wait", T, "1205 (HY000)"),
        ("Code: 241. DB::Exception: Memory limit", S, "ClickHouse 241"),
        ('KafkaError{code=_ALL_BROKERS_DOWN,val=-187,str="x"}', T, "Kafka _ALL_BROKERS_DOWN"),
        ("upstream said HTTP status code 503", T, "HTTP 503"),
        ("got error code: 422 for the row", D, "HTTP 422"),
        ("status = StatusCode.UNAUTHENTICATED", C, "gRPC UNAUTHENTICATED"),
        ("An error occurred (SlowDown) when calling the PutObject operation", T, "code SlowDown"),
        ("Error from server: code=1100 [Coordinator timed out]", T, "Cassandra 1100"),
        ("wrapped: ORA-12899: value too large", D, "ORA-12899"),
    ],
)
def test_code_that_only_the_message_has_is_read(text, error_type, detail):
    found = Classifier(learned=False).explain(made("rx", "LoadError", text))
    assert (found.error_type, found.layer) == (error_type, Layer.MESSAGE)
    assert found.detail == f"{detail} in the message"


@pytest.mark.parametrize(
    "text", ["loaded 503 rows", "row 422 of batch 500", "at 12:34:56 in step 429", "took 404 ms"]
)
def test_number_that_is_no_code_says_nothing(text):
    assert Classifier(learned=False).classify(made("rx", "LoadError", text)) is U


def test_key_that_the_environment_lacks_is_configuration_and_one_that_a_record_lacks_is_data():
    with pytest.raises(KeyError) as unset:
        os.environ["SEAWALL_NO_SUCH_VARIABLE"]
    with pytest.raises(KeyError) as missing:
        {}["customer_id"]
    assert kind(unset.value) is C
    assert kind(missing.value) is D
    try:
        raise RuntimeError("load step failed") from unset.value
    except RuntimeError as error:
        assert kind(error) is C


def test_rule_by_code_comes_before_the_tables():
    classifier = Classifier({"HTTP 404": T, "MySQL 9999": D, "SQLSTATE 23505": T})
    assert classifier.classify(status(404)) is T
    assert classifier.classify(status(403)) is C
    assert classifier.classify(made("pymysql.err", "OperationalError", 9999, "own")) is D
    found = classifier.explain(made("psycopg.errors", "UniqueViolation", sqlstate="23505"))
    assert (found.error_type, found.layer, found.detail) == (
        T,
        Layer.RULE,
        "rule for SQLSTATE 23505",
    )


@pytest.mark.parametrize("code", ["404", "HTTP 4040", "SQLSTATE 404", "", "teapot", "http 404"])
def test_rule_by_a_code_that_cannot_be_is_refused(code):
    with pytest.raises(InvalidConfigError, match="as explain"):
        Classifier({code: T})


def test_code_seen_before_is_told_apart_from_another_of_its_type():
    """What is remembered is the type with its code, and only where the code alone decides."""
    classifier = Classifier()
    for _ in range(2):
        assert classifier.classify(made("asyncpg", "PostgresError", sqlstate="40001")) is T
        lock, duplicate = (made("pymysql.err", "OperationalError", n, "x") for n in (1213, 1062))
        assert [classifier.classify(each) for each in (lock, duplicate)] == [T, D]
        assert [classifier.classify(OSError(n, "x")) for n in (28, 104)] == [S, T]
    cls = type("PostgresError", (Exception,), {"__module__": "x", "sqlstate": "08001"})
    assert classifier.classify(cls("connection refused")) is T
    assert classifier.classify(cls("password authentication failed")) is C
    full = OSError(28, "x")
    full.status_code = 503
    assert classifier.classify(full) is T


def test_rules_of_one_classifier_are_not_remembered_for_another():
    assert Classifier({OSError: D}).classify(OSError(28, "x")) is D
    assert Classifier().classify(OSError(28, "x")) is S


def test_nothing_that_the_user_has_not_installed_is_imported():
    code = (
        "import sys, seawall.classification as c; c.default_classifier.classify(ValueError('x'));"
        "c.default_classifier.classify(type('E', (Exception,), {'__module__': 'grpc'})('zork'));"
        "bad = {'grpc', 'httpx', 'asyncpg', 'pandas', 'numpy', 'botocore', 'pydantic'};"
        "sys.exit(str(bad & set(sys.modules)) if bad & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
