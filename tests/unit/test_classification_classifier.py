"""The layers of the classifier, their order, and that nothing makes it raise."""

import asyncio
import json

import httpx
import pytest

from seawall import errors
from seawall.classification import Classifier, ErrorType, Layer, default_classifier
from seawall.errors import InvalidConfigError

T, C, D, S, U = (
    ErrorType.TRANSIENT,
    ErrorType.CONFIGURATION,
    ErrorType.DATA,
    ErrorType.SYSTEM,
    ErrorType.UNKNOWN,
)


class LoadError(Exception):
    pass


def decided(exc, classifier=default_classifier):
    found = classifier.explain(exc)
    assert classifier.classify(exc) is found.error_type
    return found.error_type, found.layer


def caused(outer, cause):
    outer.__cause__ = cause
    return outer


def in_context(outer, context, *, suppress=False):
    outer.__context__ = context
    outer.__suppress_context__ = suppress
    return outer


@pytest.mark.parametrize(
    ("exc", "error_type"),
    [
        (TimeoutError(), T),
        (MemoryError(), S),
        (asyncio.IncompleteReadError(b"", 3), T),
        (json.JSONDecodeError("x", "", 0), D),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), D),
        (ModuleNotFoundError("x"), C),
        (httpx.ReadTimeout(""), T),
        (httpx.PoolTimeout(""), T),
        (httpx.UnsupportedProtocol("x"), C),
        (errors.CodecError("x"), D),
        (errors.StaleRunError("x"), C),
        (errors.DatabaseUnavailableError("x"), T),
        (errors.CircuitOpenError("x", 1.0), T),
        (errors.MigrationError("x"), C),
    ],
)
def test_type_in_the_table_decides_without_a_message(exc, error_type):
    assert decided(exc) == (error_type, Layer.TYPE)


def test_type_nearest_in_the_mro_decides():
    """requests' SSLError is a ConnectionError, which alone would be transient."""
    connection = type("ConnectionError", (OSError,), {"__module__": "requests.exceptions"})
    secure = type("SSLError", (connection,), {"__module__": "requests.exceptions"})
    assert decided(secure("x")) == (C, Layer.TYPE)
    assert decided(type("Own", (secure,), {})("x")) == (C, Layer.TYPE)
    assert decided(connection("x")) == (T, Layer.PRESUMED)


@pytest.mark.parametrize(
    ("exc", "error_type"),
    [(ValueError("boom"), D), (KeyError("customer_id"), D), (ConnectionError("boom"), T)],
)
def test_broad_type_is_presumed_only_where_nothing_else_speaks(exc, error_type):
    assert decided(exc) == (error_type, Layer.PRESUMED)


@pytest.mark.parametrize(
    ("name", "error_type"),
    [
        ("GatewayTimeoutError", T),
        ("ThrottledError", T),
        ("SchemaValidationError", D),
        ("BadCredentials", C),
        ("ConnectionConfigurationError", C),
        ("DiskFullError", S),
        ("LoadError", U),
    ],
)
def test_words_of_an_unknown_type_name_are_presumed(name, error_type):
    assert default_classifier.classify(type(name, (Exception,), {})("boom")) is error_type


@pytest.mark.parametrize(
    ("message", "error_type"),
    [
        ("Operation timed out after 30 s", T),
        ("API timeout", T),
        ("lost connection to server", T),
        ("canceling statement due to lock timeout", T),
        ("temporary failure in name resolution", T),
        ("[Errno 104] Connection reset by peer", T),
        ("invalid configuration: no host", C),
        ("missing credentials for the bucket", C),
        ("Permission denied: /data", C),
        ('connection failed: FATAL:  database "app" does not exist', C),
        ("check constraint violation on qty", D),
        ("invalid format: 2013-13-01", D),
        ("type mismatch in column 3", D),
        ("Out of memory", S),
        ("disk full", S),
        ("the database is down", S),
        ("[Errno 28] No space left on device", S),
        ("boom", U),
        ("retry timeout counter must not be negative", U),
        ("", U),
    ],
)
def test_message_decides_for_an_unknown_type(message, error_type):
    assert decided(LoadError(message)) == (
        error_type,
        Layer.NONE if error_type is U else Layer.MESSAGE,
    )


@pytest.mark.parametrize(
    "message",
    [
        'bad thing in column "connection timed out"',
        "bad thing\n[SQL: select 'connection timed out']",
        "bad thing\nDETAIL:  Key (note)=(connection timed out)",
    ],
)
def test_message_is_read_without_sql_details_and_names(message):
    """What a record or a statement says is not what went wrong."""
    assert decided(LoadError(message), Classifier(learned=False)) == (U, Layer.NONE)
    assert default_classifier.classify(LoadError(message)) is not T


def test_cause_decides_before_the_outer_message():
    outer = LoadError("load failed after timed out budget check")
    assert decided(caused(outer, OSError(28, "x"))) == (S, Layer.CAUSE)


def test_cause_is_not_asked_where_the_outer_type_is_known():
    assert decided(caused(json.JSONDecodeError("x", "", 0), TimeoutError())) == (D, Layer.TYPE)


def test_context_decides_unless_it_is_suppressed():
    assert decided(in_context(LoadError("x"), TimeoutError())) == (T, Layer.CAUSE)
    assert decided(in_context(LoadError("x"), TimeoutError(), suppress=True)) == (U, Layer.NONE)


def test_presumption_about_a_context_yields_to_the_outer_message():
    """A KeyError that happened to be under way says less than what was then raised."""
    assert decided(in_context(LoadError("permission denied"), KeyError("x"))) == (C, Layer.MESSAGE)
    assert decided(in_context(LoadError("boom"), KeyError("x"))) == (D, Layer.PRESUMED)


@pytest.mark.parametrize("name", ["reason", "os_error", "orig"])
def test_exception_kept_in_an_attribute_counts_as_cause(name):
    outer = LoadError("boom")
    setattr(outer, name, OSError(28, "x"))
    assert decided(outer) == (S, Layer.CAUSE)


def test_exception_kept_in_args_counts_as_cause():
    """requests wraps urllib3's exceptions so."""
    assert decided(LoadError("boom", caused(LoadError("x"), TimeoutError()))) == (T, Layer.CAUSE)


def test_last_attempt_of_tenacity_counts_as_cause():
    import tenacity

    with pytest.raises(tenacity.RetryError) as caught:
        tenacity.retry(stop=tenacity.stop_after_attempt(1))(raise_disk_full)()
    caught.value.__cause__ = caught.value.__context__ = None
    assert decided(caught.value) == (S, Layer.CAUSE)


def raise_disk_full():
    raise OSError(28, "x")


@pytest.mark.parametrize(
    ("members", "error_type"),
    [
        ([TimeoutError(), OSError(28, "x")], S),
        ([OSError(28, "x"), json.JSONDecodeError("x", "", 0)], D),
        ([json.JSONDecodeError("x", "", 0), PermissionError()], C),
        ([TimeoutError(), TimeoutError()], T),
        ([TimeoutError(), ExceptionGroup("inner", [LoadError("permission denied")])], C),
        ([TimeoutError(), caused(LoadError("x"), MemoryError())], S),
    ],
)
def test_group_is_its_least_retryable_member(members, error_type):
    assert decided(ExceptionGroup("connection timed out", members)) == (error_type, Layer.GROUP)


def test_group_with_an_unknown_member_is_unknown():
    assert decided(ExceptionGroup("g", [TimeoutError(), LoadError("boom")])) == (U, Layer.NONE)


def test_group_as_a_cause_is_looked_into():
    """anyio raises OSError("All connection attempts failed") from a group."""
    outer = caused(OSError("boom"), ExceptionGroup("g", [ConnectionRefusedError(111, "x")]))
    assert decided(outer) == (T, Layer.CAUSE)


def test_cancellation_and_exits_are_unknown_whatever_they_interrupted():
    for exc in (asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(1), GeneratorExit()):
        assert decided(in_context(exc, TimeoutError())) == (U, Layer.NONE)
    assert decided(caused(LoadError("x"), asyncio.CancelledError())) == (U, Layer.NONE)


def test_cycles_end():
    one, two = LoadError("one"), LoadError("two")
    one.__cause__, two.__cause__ = two, one
    assert decided(one) == (U, Layer.NONE)
    group = ExceptionGroup("g", [one])
    two.__cause__ = group
    assert decided(group) == (U, Layer.NONE)


def test_long_chain_is_looked_into_up_to_a_bound():
    exc = TimeoutError()
    for _ in range(5000):
        exc = caused(LoadError("x"), exc)
    assert decided(exc) == (U, Layer.NONE)


class Hostile(Exception):
    def __str__(self):
        raise RuntimeError

    @property
    def response(self):
        raise RuntimeError

    @property
    def sqlstate(self):
        raise ValueError

    code = property(lambda self: 1 / 0)

    def __getattr__(self, name):
        raise LookupError(name)


class Odd(OSError):
    errno = "text"
    status_code = True
    response = {"Error": 3, "ResponseMetadata": []}
    args = 7


def test_exception_that_misbehaves_is_unknown():
    assert decided(Hostile()) == (U, Layer.NONE)
    assert default_classifier.classify(Odd("x")) is U
    for module in ("grpc", "google", "botocore", "pymysql", "redis", "aiokafka", "pymongo"):
        for base in (Hostile, Odd):
            assert default_classifier.classify(type("X", (base,), {"__module__": module})()) is U


def test_user_rules_come_first_in_their_order():
    classifier = Classifier([(TimeoutError, D), lambda exc: S])
    assert decided(TimeoutError(), classifier) == (D, Layer.RULE)
    assert decided(ValueError(), classifier) == (S, Layer.RULE)


def test_user_rule_holds_for_subclasses_and_for_causes():
    classifier = Classifier({LoadError: T})
    assert decided(type("Own", (LoadError,), {})(), classifier) == (T, Layer.RULE)
    assert decided(caused(RuntimeError("x"), LoadError()), classifier) == (T, Layer.CAUSE)


def test_rule_that_answers_none_leaves_it_to_the_next():
    classifier = Classifier([lambda exc: None])
    assert decided(TimeoutError(), classifier) == (T, Layer.TYPE)


def test_rule_added_later_is_asked_after_those_before():
    classifier = Classifier([(TimeoutError, D)])
    classifier.add_rule(lambda exc: C)
    classifier.add_rule({LoadError: "system"})
    assert decided(TimeoutError(), classifier)[0] is D
    assert decided(LoadError(), classifier)[0] is C
    assert decided(TimeoutError())[0] is T  # the default classifier is another one


def test_rule_that_fails_is_logged_and_passed_over(caplog):
    def broken(exc):
        raise RuntimeError("bug in the rule")

    assert decided(TimeoutError(), Classifier([broken])) == (T, Layer.TYPE)
    assert "broken" in caplog.text


def test_rule_that_answers_no_error_type_is_passed_over():
    assert decided(TimeoutError(), Classifier([lambda exc: "nonsense"])) == (T, Layer.TYPE)


@pytest.mark.parametrize(
    "rule", [3, ValueError, (ValueError,), (int, D), (ValueError, "wrong"), ("SQLSTATE 4", T), None]
)
def test_rule_of_another_shape_is_refused(rule):
    with pytest.raises(InvalidConfigError, match="rule"):
        Classifier([rule])


def test_instance_with_a_code_of_its_own_is_not_decided_by_a_remembered_type():
    assert decided(TimeoutError()) == (T, Layer.TYPE)
    exc = TimeoutError()
    exc.status_code = 400
    assert decided(exc) == (D, Layer.CODE)


def test_classify_connection_that_died_while_a_bad_row_was_undone_is_transient():
    """asyncpg's word for it says nothing, and what it was busy with is not why it failed."""
    import asyncpg

    error = asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is …")
    error.__context__ = asyncpg.CheckViolationError("new row violates check constraint")
    assert default_classifier.classify(error) is ErrorType.TRANSIENT
