"""Rules of the user's own, which come before every table: by type, by code, by a function."""

import re
from collections.abc import Callable, Mapping

from seawall.classification.codes import codes_of
from seawall.classification.error_type import ErrorType
from seawall.classification.reading import qualified_name
from seawall.errors import InvalidConfigError

RuleFunction = Callable[[BaseException], ErrorType | None]
RuleKey = type[BaseException] | str
Rule = RuleFunction | tuple[RuleKey, ErrorType] | Mapping[RuleKey, ErrorType]

_CODE = re.compile(
    r"SQLSTATE [0-9A-Z]{5}|HTTP [1-5]\d\d|errno -?\d+|gRPC [A-Z_]+|ORA-\d{5}|DPY-\d{4}"
    r"|(?:AWS|Google|Redis|Kafka|code) [\w.]+"
    r"|(?:MySQL|SQLite|SQL Server|ClickHouse|Snowflake|MongoDB|AMQP|SMTP|FTP|SSH|SFTP|c-ares) \d+"
    r"|Cassandra [0-9a-f]{4}|Neo(?:\.\w+){3}"
)


def rule_functions(rule: Rule) -> list[RuleFunction]:
    """The functions that a rule means.

    Raises:
        InvalidConfigError: it has another shape; the message says what would be right.
    """
    if isinstance(rule, Mapping):
        return [_pair(key, answer) for key, answer in rule.items()]
    shape: object = rule  # callers without a type checker pass anything
    if isinstance(shape, tuple) and len(shape) == 2:
        return [_pair(*shape)]
    if callable(rule) and not isinstance(shape, type):
        return [rule]
    raise InvalidConfigError(
        f"rule {rule!r}: must be a function exc -> ErrorType | None, a pair (exception type or"
        " code, ErrorType) or a mapping of pairs"
    )


def _pair(key: object, answer: object) -> RuleFunction:
    try:
        error_type = ErrorType(str(answer))
    except ValueError:
        kinds = ", ".join(ErrorType)
        raise InvalidConfigError(f"rule ({key!r}, {answer!r}): must be one of {kinds}") from None
    if isinstance(key, type) and issubclass(key, BaseException):
        return _by_type(key, error_type)
    if isinstance(key, str) and _CODE.fullmatch(key):
        return _by_code(key, error_type)
    raise InvalidConfigError(
        f"rule ({key!r}, {answer!r}): must name an exception type, or a code as explain() spells"
        " it: 'HTTP 409', 'SQLSTATE 40001', 'MySQL 1205', 'errno 28', 'AWS SlowDown', 'ORA-00060'"
    )


def _by_type(kind: type[BaseException], error_type: ErrorType) -> RuleFunction:
    def rule(exc: BaseException) -> ErrorType | None:
        return error_type if isinstance(exc, kind) else None

    rule.__name__ = f"rule for {qualified_name(kind)}"
    return rule


def _by_code(code: str, error_type: ErrorType) -> RuleFunction:
    def rule(exc: BaseException) -> ErrorType | None:
        return error_type if code in codes_of(exc) else None

    rule.__name__ = f"rule for {code}"
    return rule
