"""Where the clients of single vendors keep their codes: a small reader each."""

import re
from collections.abc import Callable
from typing import Any

from seawall.classification.broker_code import (
    AMQP_CODES,
    KAFKA_CODES,
    RESOLVER_NUMBERS,
    SFTP_CODES,
    SSH_CODES,
    by_ftp_reply,
    by_smtp_reply,
)
from seawall.classification.database_code import (
    CLICKHOUSE_CODES,
    SNOWFLAKE_CODES,
    SQL_SERVER_CODES,
    by_neo4j_code,
)
from seawall.classification.error_type import ErrorType
from seawall.classification.http_status import GRPC_STATUSES, by_http_status
from seawall.classification.quoted_code import by_quoted_code
from seawall.classification.reading import read, text_of, whole
from seawall.classification.sqlstate import by_sqlstate
from seawall.classification.vendor_code import (
    AWS_CODES,
    GOOGLE_REASONS,
    MONGO_CODES,
    MYSQL_CODES,
    REDIS_CODES,
    SQLITE_CODES,
)

Found = tuple[ErrorType | None, str] | None
Reader = Callable[[BaseException], Found]

_UNREACHABLE_FOR_GOOD = re.compile(
    r"certificate_verify_failed|certificate verify failed|handshake failed|domain name not found"
    r"|name or service not known|hostname .* mismatch|wrong_version_number",
    re.IGNORECASE,
)
_REPLY = re.compile(r"^\W{0,3}([45]\d\d)\b")
_REFUSED_LOGIN = re.compile(r"incorrect username or password|authentication|token", re.IGNORECASE)


def grpc(exc: BaseException) -> Found:
    """The status of gRPC; its details where one status means opposite things."""
    code = read(exc, "code")
    status = _called(code) if callable(code) else read(exc, "grpc_status_code")
    if status is None:
        status = read(exc, "status")  # grpclib
    name = read(status, "name")
    if not isinstance(name, str):
        return None
    detail = f"gRPC {name}"
    if name == "RESOURCE_EXHAUSTED" and "larger than max" in text_of(exc):
        return ErrorType.CONFIGURATION, f"{detail}, message larger than allowed"
    if name == "UNAVAILABLE" and _UNREACHABLE_FOR_GOOD.search(text_of(exc)):
        return ErrorType.CONFIGURATION, f"{detail}, certificate or name refused"
    return GRPC_STATUSES.get(name), detail


def aws(exc: BaseException) -> Found:
    response = read(exc, "response")
    if not isinstance(response, dict):
        return None
    error, metadata = response.get("Error"), response.get("ResponseMetadata")
    code = error.get("Code") if isinstance(error, dict) else None
    if isinstance(code, str) and code in AWS_CODES:
        return AWS_CODES[code], f"AWS {code}"
    status = whole(metadata.get("HTTPStatusCode")) if isinstance(metadata, dict) else None
    return None if status is None else (by_http_status(status), f"HTTP {status}")


def google(exc: BaseException) -> Found:
    errors = read(exc, "errors")
    first = errors[0] if isinstance(errors, list | tuple) and errors else None
    reason = first.get("reason") if isinstance(first, dict) else None
    if isinstance(reason, str) and reason in GOOGLE_REASONS:
        return GOOGLE_REASONS[reason], f"Google {reason}"
    status = whole(read(exc, "code"))
    return None if status is None else (by_http_status(status), f"HTTP {status}")


def sqlite(exc: BaseException) -> Found:
    number = whole(read(exc, "sqlite_errorcode"))
    return None if number is None else (SQLITE_CODES.get(number & 0xFF), f"SQLite {number}")


def mysql(exc: BaseException) -> Found:
    number = whole(read(exc, "errno"))
    if number is None:
        number = whole(_first(exc))
    if number == 0:
        return ErrorType.TRANSIENT, "MySQL 0, the connection was closed"
    return None if number is None else (MYSQL_CODES.get(number), f"MySQL {number}")


def sql_server(exc: BaseException) -> Found:
    number = whole(read(exc, "number"))
    if number is None:
        number = whole(_first(exc))
    return None if number is None else (SQL_SERVER_CODES.get(number), f"SQL Server {number}")


def odbc(exc: BaseException) -> Found:
    quoted = by_quoted_code(text_of(exc))  # with the server's own number, which tells more
    if quoted is not None:
        return quoted
    state = _first(exc)
    if not isinstance(state, str) or len(state) != 5:
        return None
    return by_sqlstate(state), f"SQLSTATE {state}"


def clickhouse(exc: BaseException) -> Found:
    number = whole(read(exc, "code"))
    return None if number is None else (CLICKHOUSE_CODES.get(number), f"ClickHouse {number}")


def snowflake(exc: BaseException) -> Found:
    number = whole(read(exc, "errno"))
    if number in {250001, 250003} and _REFUSED_LOGIN.search(text_of(exc)):
        return ErrorType.CONFIGURATION, f"Snowflake {number}, the login was refused"
    return None if number is None else (SNOWFLAKE_CODES.get(number), f"Snowflake {number}")


def neo4j(exc: BaseException) -> Found:
    code = read(exc, "code")
    return (by_neo4j_code(code), code) if isinstance(code, str) else None


def quoted(exc: BaseException) -> Found:
    """Of clients that keep their server's code in the message alone."""
    return by_quoted_code(text_of(exc))


def mongo(exc: BaseException) -> Found:
    number = whole(read(exc, "code"))
    return None if number is None else (MONGO_CODES.get(number), f"MongoDB {number}")


def redis(exc: BaseException) -> Found:
    code = read(exc, "status_code")
    if not isinstance(code, str):
        code = text_of(exc).partition(" ")[0]
    return REDIS_CODES.get(code), f"Redis {code}"


def kafka(exc: BaseException) -> Found:
    told = "retriable, as Kafka's protocol says"
    if read(exc, "retriable") is True:
        return ErrorType.TRANSIENT, told
    # confluent-kafka wraps a KafkaError, which knows, in a KafkaException.
    inner = _first(exc)
    asked, name = read(inner, "retriable"), read(inner, "name")
    word = _called(name) if callable(name) else None
    if isinstance(word, str) and word in KAFKA_CODES:
        return KAFKA_CODES[word], f"Kafka {word}"
    if callable(asked) and _called(asked) is True:
        return ErrorType.TRANSIENT, told
    return by_quoted_code(text_of(exc))


def amqp(exc: BaseException) -> Found:
    number = next(
        (
            found
            for found in (
                whole(read(exc, "reply_code")),
                whole(_first(exc)),
                whole(read(exc, "code")),
            )
            if found is not None
        ),
        None,
    )
    return None if number is None else (AMQP_CODES.get(number), f"AMQP {number}")


def smtp(exc: BaseException) -> Found:
    number = whole(read(exc, "smtp_code"))
    if number is None:
        number = whole(read(exc, "code"))  # aiosmtplib
    if number is None:
        return None
    found = by_smtp_reply(number)
    if found is ErrorType.CONFIGURATION and "Recipient" in type(exc).__name__:
        found = ErrorType.DATA  # the address, not the account
    return found, f"SMTP {number}"


def ftp(exc: BaseException) -> Found:
    match = _REPLY.match(text_of(exc))
    if match is None:
        return by_quoted_code(text_of(exc))
    return by_ftp_reply(int(match.group(1))), f"FTP {match.group(1)}"


def ssh(exc: BaseException) -> Found:
    number = whole(read(exc, "code"))
    if number is None:
        return None
    if type(exc).__name__.startswith("SFTP"):
        return SFTP_CODES.get(number), f"SFTP {number}"
    return SSH_CODES.get(number), f"SSH {number}"


def resolver(exc: BaseException) -> Found:
    number = whole(_first(exc))
    return None if number is None else (RESOLVER_NUMBERS.get(number), f"c-ares {number}")


def _first(exc: BaseException) -> Any:
    args = read(exc, "args")
    return args[0] if isinstance(args, tuple) and args else None


def _called(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception:
        # A foreign callable; what it will not tell is not known.
        return None


VENDOR_READERS: tuple[tuple[frozenset[str], Reader], ...] = tuple(
    (frozenset(roots.split()), reader)
    for roots, reader in (
        ("botocore boto3 aiobotocore s3transfer", aws),
        ("google googleapiclient", google),
        ("grpc google grpclib", grpc),
        ("sqlite3 aiosqlite", sqlite),
        ("pymysql MySQLdb aiomysql asyncmy mysql", mysql),
        ("pymssql pytds tds", sql_server),
        ("pyodbc aioodbc turbodbc", odbc),
        ("clickhouse_driver asynch aioch", clickhouse),
        ("clickhouse_driver clickhouse_connect aiochclient asynch", quoted),
        ("snowflake", snowflake),
        ("neo4j", neo4j),
        ("oracledb cx_Oracle cassandra acsylla trino prestodb aiotrino minio", quoted),
        ("pymongo motor", mongo),
        ("redis aioredis valkey", redis),
        ("kafka aiokafka confluent_kafka cimpl", kafka),
        ("pika aiormq aio_pika amqp amqpstorm", amqp),
        ("smtplib aiosmtplib", smtp),
        ("ftplib aioftp", ftp),
        ("asyncssh", ssh),
        ("pycares aiodns", resolver),
    )
)
