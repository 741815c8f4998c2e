"""Codes that stand in a message because the exception has no place for them.

``ORA-00060``, ``[42S02]``, ``Code: 241. DB::Exception``, ``KafkaError{code=_TRANSPORT}``,
``HTTP status 503``, ``StatusCode.UNAVAILABLE``: a vendor's own code, with a form that plain prose
doesn't have.
"""

import re
from collections.abc import Callable

from seawall.classification.broker_code import KAFKA_CODES, by_ftp_reply
from seawall.classification.database_code import (
    CASSANDRA_CODES,
    CLICKHOUSE_CODES,
    ORACLE_CODES,
    ORACLEDB_CODES,
    SNOWFLAKE_CODES,
    SQL_SERVER_CODES,
    by_neo4j_code,
)
from seawall.classification.error_type import ErrorType
from seawall.classification.http_status import GRPC_STATUSES, by_http_status
from seawall.classification.service_code import by_service_code, by_words_of_code
from seawall.classification.sqlstate import by_sqlstate
from seawall.classification.vendor_code import MYSQL_CODES

_Found = tuple[ErrorType, str]
_Reader = Callable[[re.Match[str]], tuple[ErrorType | None, str]]


def _snowflake_or_mysql(match: re.Match[str]) -> tuple[ErrorType | None, str]:
    number, state = match.group(1), match.group(2)
    table = SNOWFLAKE_CODES if len(number) == 6 else MYSQL_CODES
    return table.get(int(number)) or by_sqlstate(state), f"{number} ({state})"


def _odbc(match: re.Match[str]) -> tuple[ErrorType | None, str]:
    state, text = match.group(1), match.string
    native = _NATIVE.search(text) if "SQL Server" in text else None
    if native is not None:
        known = SQL_SERVER_CODES.get(int(native.group(1)))
        if known is not None:
            return known, f"SQL Server {native.group(1)}"
    return by_sqlstate(state), f"SQLSTATE {state}"


def _word(match: re.Match[str]) -> tuple[ErrorType | None, str]:
    code = match.group(1)
    return by_service_code(code) or by_words_of_code(code), f"code {code}"


def _http(match: re.Match[str]) -> tuple[ErrorType | None, str]:
    status = int(match.group(1))
    return by_http_status(status), f"HTTP {status}"


_NATIVE = re.compile(r"\((\d{2,6})\) ?(?:\(SQL\w+\))?['\"]?\)?$")

_STATUS = re.compile(r"[45]\d\d")  # what the forms without a needle need
# Every form has one of these.
_MARKS = frozenset("([{=_:-0123456789")
# (a text that must be there, which is quick to look for; the form; how to read it), in order.
_FORMS: tuple[tuple[str, re.Pattern[str], _Reader], ...] = (
    (
        "ORA-",
        re.compile(r"\bORA-(\d{5})\b"),
        lambda m: (ORACLE_CODES.get(int(m.group(1))), m.group()),
    ),
    (
        "DPY-",
        re.compile(r"\bDPY-(\d{4})\b"),
        lambda m: (ORACLEDB_CODES.get(int(m.group(1))), m.group()),
    ),
    (
        "DB::",
        re.compile(r"\bCode: (\d{1,4})\b"),
        lambda m: (CLICKHOUSE_CODES.get(int(m.group(1))), f"ClickHouse {m.group(1)}"),
    ),
    (
        "KafkaError{",
        re.compile(r"KafkaError\{(?:FATAL,)?code=(\w+)"),
        lambda m: (KAFKA_CODES.get(m.group(1)), f"Kafka {m.group(1)}"),
    ),
    (
        "Error from server: code=",
        re.compile(r"code=([0-9a-fA-F]{4})\b"),
        lambda m: (CASSANDRA_CODES.get(m.group(1).lower()), f"Cassandra {m.group(1)}"),
    ),
    (
        "Neo.",
        re.compile(r"\bNeo(?:\.\w+){3}\b"),
        lambda m: (by_neo4j_code(m.group()), m.group()),
    ),
    (
        "StatusCode.",
        re.compile(r"\bStatusCode\.([A-Z_]+)"),
        lambda m: (GRPC_STATUSES.get(m.group(1)), f"gRPC {m.group(1)}"),
    ),
    (
        "[",
        re.compile(r"\[([0-9A-Z]{2}[0-9A-Z]{3})\] ?\["),
        _odbc,
    ),
    (
        "(",
        re.compile(r"\b(\d{4}|\d{6}) \(([0-9A-Z]{5})\)"),
        _snowflake_or_mysql,
    ),
    (
        "SQLSTATE",
        re.compile(r"\bSQLSTATE\W{0,3}([0-9A-Z]{5})\b"),
        lambda m: (by_sqlstate(m.group(1)), f"SQLSTATE {m.group(1)}"),
    ),
    (" when calling", re.compile(r"\(([A-Z][A-Za-z0-9.]+)\) when calling"), _word),
    ("name=", re.compile(r"\btype=[A-Z_]+, name=([A-Z_]+)"), _word),
    ("_exception", re.compile(r"\b([a-z_]+_exception)\b"), _word),
    (
        "ode",
        re.compile(
            r"\b(?:[Ee]rror ?)?[Cc]ode['\"]?\s?[:=]\s?['\"]?([A-Za-z][A-Za-z_.]{4,60}[A-Za-z])\b"
        ),
        _word,
    ),
    (
        "rror",
        re.compile(r"['\"]error['\"]:\s?['\"]([A-Za-z][A-Za-z_]{4,60})['\"]"),
        _word,
    ),
    (
        "",
        re.compile(
            r"\b(?:HTTP(?:/\d(?:\.\d)?)?(?: Error)?(?: status)?(?: code)?|[Ss]tatus(?:[ _]?code)?"
            r"|[Rr]esponse(?: code)?|[Ee]rror(?: code)?)[ :=]{1,3}([45]\d\d)\b(?!\.\d)"
        ),
        _http,
    ),
    (
        "",
        re.compile(r"^\(?([45]\d\d)(?:\)\nReason:| (?:Client|Server) Error\b)"),
        _http,
    ),
    (
        "got ",
        re.compile(r"\bWaiting for \(.*\) but got ([45]\d\d)\b"),
        lambda m: (by_ftp_reply(int(m.group(1))), f"FTP {m.group(1)}"),
    ),
)


def by_quoted_code(text: str) -> _Found | None:
    """What a code in the text says, and which; None where there is none that tells."""
    if _MARKS.isdisjoint(text):  # prose; looking at each form would cost more
        return None
    has_status = _STATUS.search(text) is not None
    for needle, form, reader in _FORMS:
        if needle not in text or (not needle and not has_status):
            continue
        match = form.search(text)
        if match is None:
            continue
        error_type, detail = reader(match)
        if error_type not in (None, ErrorType.UNKNOWN):
            return error_type, detail
    return None
