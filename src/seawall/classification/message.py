"""What the words of a message say: phrases, by recovery class, in the order in which they count.

Only the message's own text is read: SQL, parameters and names in double quotes are cut out first,
so that a column called ``timeout`` says nothing. Classes that must not be retried come first.
"""

import re

from seawall.classification.errno_code import by_errno
from seawall.classification.error_type import LEAST_RETRYABLE_FIRST, ErrorType
from seawall.classification.explanation import Explanation, Layer
from seawall.classification.quoted_code import by_quoted_code

PHRASES: dict[ErrorType, tuple[str, ...]] = {
    ErrorType.CONFIGURATION: (
        *("permission denied", "access denied", "access is denied", "not authorized"),
        *("unauthorized", "forbidden", "not permitted", "insufficient privilege"),
        *("authentication failed", "authentication required", "auth failed", "login failed"),
        *("invalid password", "wrong password", "invalid credential", "missing credential"),
        *("no credentials", "credentials not", "unable to locate credentials", "bad credentials"),
        *("invalid api key", "missing api key", "api key not", "api key is missing", "bad api key"),
        *("invalid token", "token expired", "token has expired", "token is expired"),
        *("expired token", "credentials have expired", "credentials expired", "expired credential"),
        *("certificate verify failed", "certificate has expired", "self-signed certificate"),
        *("self signed certificate", "unknown ca", "hostname mismatch", "wrong_version_number"),
        *("certificate_verify_failed", "does not support ssl", "no encryption", "ssl upgrade"),
        *("invalid config", "configuration error", "misconfigur", "bad configuration"),
        *("missing config", "config file", "configuration file", "invalid setting"),
        *("environment variable", "invalid dsn", "invalid uri", "invalid url", "invalid endpoint"),
        *("invalid connection option", "connection string is", "no such file or directory"),
        *("name or service not known", "no address associated", "nodename nor servname"),
        *("getaddrinfo failed", "unknown host", "could not translate host name", "no such host"),
        *("no such table", "no such column", "unknown database", "unknown column"),
        *("unknown command", "unknown operator", "wrong number of arguments", "no module named"),
        *("unsupported protocol", "unsupported operation", "not implemented", "not supported"),
        *("can't load plugin", "unknown option", "unrecognized option", "invalid option"),
        *('database "" does not exist', 'role "" does not exist', 'user "" does not exist'),
        *('relation "" does not exist', 'column "" does not exist', 'schema "" does not exist'),
        *(
            "login failed",
            "logon denied",
            "login incorrect",
            "invalid username",
            "incorrect username",
        ),
        *(
            "incorrect api key",
            "incorrect password",
            "password is incorrect",
            "unable to authenticate",
        ),
        *(
            "failed to authenticate",
            "failed authentication",
            "sasl authentication",
            "invalid_grant",
        ),
        *("known_hosts", "host key", "private key", "acceptable kex", "not registered with"),
        *("not registered", "table or view does not exist", "unknown table", "unknown topic"),
        *("unknown service", "unknown function", "unknown setting", "unknown protocol"),
        *("valid uri", "valid url", "invalid port", "invalid header", "invalid host"),
        *("must be set", "not configured", "improperly configured", "redirects"),
        *("data source name not found", "can't open lib", "no connection adapters", "ns not found"),
        *(
            "config profile",
            "cannot adapt type",
            "illegal header",
            "valid host or port",
        ),
        *("license expired", "invalid license", "expired session", "session expired or invalid"),
        *("illegal status line", "bad status line", "read-only file system", "syntax error"),
    ),
    ErrorType.SYSTEM: (
        *("out of memory", "cannot allocate memory", "unable to allocate", "memory limit"),
        *("memory exhausted", "oom command", "maxmemory", "out of shared memory"),
        *("no space left", "disk full", "disk is full", "disk quota exceeded", "disk space"),
        *(
            "insufficient storage",
            "insufficient disk",
            "too many open files",
            "file table overflow",
        ),
        *("database is down", "database down", "database server is down", "system is down"),
        *("can't start new thread", "resource exhausted", "no buffer space", "i/o error"),
        *("input/output error", "disk i/o", "disk image is malformed"),
        *("segmentation fault", "killed by signal", "stack depth limit", "exited prematurely"),
        *("unable to extend", "not enough space", "not enough memory", "no space on", "sigkill"),
        *("quota exceeded", "exceeded your quota", "storage backend has reached", "is out of disk"),
    ),
    ErrorType.DATA: (
        *("violates unique", "violates not-null", "violates foreign key", "violates check"),
        *("violates exclusion", "constraint violation", "constraint failed", "violates constraint"),
        *("integrity constraint", "integrity error", "duplicate key", "duplicate entry"),
        *("already exists", "invalid format", "invalid input", "invalid value", "invalid json"),
        *("invalid date", "invalid literal", "invalid utf", "invalid byte", "invalid character"),
        *("invalid start byte", "malformed", "type mismatch", "datatype mismatch", "wrongtype"),
        *("could not convert", "cannot convert", "cannot cast", "can't convert", "cannot parse"),
        *("could not parse", "unable to parse", "failed to parse", "failed to decode"),
        *("out of range", "value too long", "too long for", "value too large", "exceeds the limit"),
        *("not a valid", "must not be null", "cannot be null", "is not null", "field required"),
        *(
            "required field",
            "missing field",
            "missing column",
            "missing required",
            "schema mismatch",
        ),
        *("failed validation", "validation error", "validation failed", "does not match format"),
        *(
            "unexpected end of",
            "truncated",
            "checksum mismatch",
            "crc mismatch",
            "crc check",
            "division by zero",
        ),
        *(
            "not json serializable",
            "cannot encode",
            "cannot decode",
            "can't decode",
            "can't encode",
        ),
        *(
            "invalid number",
            "is not recognized",
            "would be truncated",
            "violation of",
            "not serializable",
        ),
        *("unique constraint", "cannot insert null", "null values", "contains null", "none values"),
        *("payload exceeded", "too large", "failed to index", "unable to serialize", "magic bytes"),
        *("bad magic", "cannot deserialize", "could not deserialize", "expected type", "bad eoo"),
        *("fields are missing", "number of fields", "number of columns", "while structuring"),
        *("missing element", "conversion from", "file format", "mapping values", "not utf-8"),
        *("unexpected character", "unexpected token", "unterminated", "invalid syntax for type"),
        *("cannot contain nul", "wrong kind of value", "not an integer", "incorrect header check"),
    ),
    ErrorType.TRANSIENT: (
        *("timed out", "timeout expired", "timeout exceeded", "timeout reached", "time limit"),
        *("lock timeout", "read timeout", "connect timeout", "connection timeout", "write timeout"),
        *("statement timeout", "request timeout", "socket timeout", "gateway timeout"),
        *("query timeout", "operation timeout", "timeout while", "timeout on", "timeout waiting"),
        *(
            "timeout reading",
            "timeout connecting",
            "timeout error",
            "timeout after",
            "timeout occurred",
        ),
        *(
            "deadline exceeded",
            "deadline_exceeded",
            "deadlock",
            "lock wait",
            "could not obtain lock",
        ),
        *("database is locked", "table is locked", "could not serialize", "serialization failure"),
        *("connection reset", "connection refused", "connection aborted", "connection lost"),
        *("connection closed", "connection is closed", "connection was closed", "lost connection"),
        *("connection already closed", "connection dropped", "connection terminated"),
        *("connection attempts failed", "connection broken", "connection failed", "broken pipe"),
        *("closed the connection", "server disconnected", "disconnected", "server has gone away"),
        *("connect call failed", "could not connect", "cannot connect", "failed to connect"),
        *("unable to connect", "failed to establish a new connection", "end of file from server"),
        *("network is unreachable", "no route to host", "host is down", "network is down"),
        *("temporary failure", "temporarily unavailable", "temporary error", "try again"),
        *("service unavailable", "bad gateway", "too many requests", "rate limit", "rate exceeded"),
        *(
            "throttl",
            "too many connections",
            "too many clients",
            "server is busy",
            "is starting up",
        ),
        *("in recovery mode", "shutting down", "terminating connection", "overloaded", "slow down"),
        *(
            "max retries exceeded",
            "queue full",
            "queue is full",
            "no servers available",
            "no responders",
        ),
        *("brokers are down", "no brokers", "not connected", "session not active", "peer closed"),
        *("incomplete chunked", "end-of-file on communication", "write conflict", "conflict on"),
        *(
            "concurrent transaction",
            "concurrent update",
            "concurrent modification",
            "commit failed",
        ),
        *(
            "update conflict",
            "transaction conflict",
            "protocol banner",
            "connection error",
            "is sealed",
        ),
        *(
            "defunct connection",
            "nameservers failed",
            "servfail",
            "lifetime expired",
            "is unavailable",
        ),
        *(
            "currently unavailable",
            "service not available",
            "service is not available",
            "internal server error",
            "backend error",
        ),
        *("resource busy", "is busy", "too busy", "come back later", "try later", "retry later"),
        *("valid http response", "cursor id", "max attempts exceeded", "pool exhausted"),
        *("reset by peer", "failed to execute request", "client request timeout", "gone away"),
        *("not primary", "leader not available", "rebalance", "another operation is in progress"),
    ),
}

_THINGS = (
    r"table|view|relation|schema|database|index|topic|queue|exchange|bucket|container|collection"
    r"|namespace|function|role|user|host|file|directory|dataset|project|warehouse|catalog|profile"
    r"|stream|keyspace|service|image|module|plugin|driver|repository|branch|endpoint"
)
# What takes more than a phrase to say, asked before the phrases.
_PATTERNS: tuple[tuple[tuple[str, ...], ErrorType, re.Pattern[str]], ...] = (
    (
        # A bug in the program, of no recovery class: said here, so that no later layer guesses.
        ("argument", "closed file", "callable", "event loop", "associated", "awaited", "recursion"),
        ErrorType.UNKNOWN,
        re.compile(
            r"\btakes (?:exactly|from|no|\d+|\w+) [\w ]*arguments?\b"
            r"|missing \d+ required (?:posit|key)"
            r"|unexpected keyword argument|operation on closed file|is not callable|\bevent loop\b"
            r"|not associated with a value|was never awaited|recursion depth"
        ),
    ),
    (
        ("corrupt", "not a"),
        ErrorType.DATA,
        re.compile(
            r"(?:file|archive|record|message|stream|input) (?:is|was|may be|seems) (?:\w+ )?corrupt"
            r"|corrupt(?:ed)? (?:file|archive|record|message|stream|input|data|header)"
            r"|not an? [\w ]{1,20}file\b"
        ),
    ),
    (
        ("corrupt", "is full"),
        ErrorType.SYSTEM,
        re.compile(r"corrupt|\b(?:table|log|disk|volume|device|storage)\b.{0,40}is full"),
    ),
    (
        ("exist", "found", "not trusted", "no ", "unknown ", "unsupported "),
        ErrorType.CONFIGURATION,
        re.compile(
            rf"\b(?:{_THINGS})\b[^\n]{{0,60}}?"
            r"\b(?:does(?: not|n't) exist|(?:was |is )?not found|could(?: not|n't) be found"
            r"|not trusted)"
            rf"|\bno (?:such )?(?:{_THINGS})\b"
            r"(?! (?:is |are )?(?:available|reachable|up|alive|respond))"
            rf"|\bunknown (?:{_THINGS})\b|\bunsupported (?!operand)"
        ),
    ),
)

# Every phrase with its class, those that count most first.
_PHRASES = {
    phrase: error_type
    for error_type in LEAST_RETRYABLE_FIRST
    for phrase in PHRASES.get(error_type, ())
}
_RANKED = tuple(_PHRASES)
_SPACED = str.maketrans(",;:.()", " " * 6)


def _indexed() -> dict[str, list[tuple[int, str]]]:
    """Phrases by their longest word that stands whole; the last may be the start of another."""
    found: dict[str, list[tuple[int, str]]] = {}
    for rank, phrase in enumerate(_RANKED):
        whole = [word for word in phrase.split()[:-1] if word == word.translate(_SPACED)]
        found.setdefault(max(whole, key=len, default=""), []).append((rank, phrase))
    return found


_BY_WORD = _indexed()
_LONGEST = 1000
_NUMBERS = str.maketrans("12345679", "00000000")  # not 8: of "utf-8"
_DIGIT = re.compile(r"[0-79]")
_LONGEST_READ, _MOST_READ = 300, 2048
_READ: dict[str, Explanation | None] = {}
_QUOTED_ERRNO = re.compile(r"\[Errno (-?\d{1,5})\]")
_ALONE = re.compile(r"(?:^|: )(?:\w+ )?timeout[.!]?$", re.IGNORECASE)
# How a driver's (number, text) looks that has no ``__str__``: these quotes aren't a name's.
_NUMBER_AND_TEXT = re.compile(r"""\((?:-?\d+|'\w{5}'), b?(["'])(.*)\1\)$""", re.DOTALL)
_DOUBLE_QUOTED = re.compile(r'"[^"\n]*"')
# SQLAlchemy's statement and parameters; the detail lines of PostgreSQL, which quote values.
_APPENDICES = ("\n[sql", "[sql:", "\n[parameters", "\ndetail:", "\ncontext:", "\nline ", "\nhint:")


def explain_message(text: str) -> Explanation | None:
    """What the message's words say, or None where they say nothing."""
    if not text:
        return None
    errno_type = _by_quoted_errno(text) if "[Errno " in text else None
    if errno_type is not None:
        return Explanation(errno_type, Layer.MESSAGE, "an errno in the message")
    quoted = by_quoted_code(text)
    if quoted is not None:
        return Explanation(quoted[0], Layer.MESSAGE, f"{quoted[1]} in the message")
    words = own_words(text)[:_LONGEST]
    # No phrase knows one number from another: messages that differ in these alone are read once.
    shape = words.translate(_NUMBERS)
    if shape not in _READ:
        found = _by_words(words)
        if len(shape) > _LONGEST_READ or (found is not None and _DIGIT.search(found.detail)):
            return found
        if len(_READ) >= _MOST_READ:
            _READ.clear()
        _READ[shape] = found
    return _READ[shape]


def _by_quoted_errno(text: str) -> ErrorType | None:
    codes = [by_errno(int(number)) for number in _QUOTED_ERRNO.findall(text)]
    return next((each for each in LEAST_RETRYABLE_FIRST if each in codes), None)


def _by_words(words: str) -> Explanation | None:
    for needles, error_type, pattern in _PATTERNS:
        if any(needle in words for needle in needles):
            match = pattern.search(words)
            if match is not None:
                return Explanation(error_type, Layer.MESSAGE, f"{match.group()!r} in the message")
    phrase = _first_phrase(words)
    if phrase is not None:
        return Explanation(_PHRASES[phrase], Layer.MESSAGE, f"{phrase!r} in the message")
    if "timeout" in words and _ALONE.search(words):
        return Explanation(ErrorType.TRANSIENT, Layer.MESSAGE, "'timeout' in the message")
    return None


def _first_phrase(words: str) -> str | None:
    """The phrase that counts most of those in the text; looked for by a word of each."""
    best = len(_PHRASES)
    for word in {*words.translate(_SPACED).split(), ""}:
        for rank, phrase in _BY_WORD.get(word, ()):
            if rank < best and phrase in words:
                best = rank
    return _RANKED[best] if best < len(_RANKED) else None


def own_words(text: str) -> str:
    """The message in small letters, without SQL, parameters, details and names in quotes."""
    pair = _NUMBER_AND_TEXT.match(text)
    words = (pair.group(2) if pair is not None else text).lower()
    for appendix in _APPENDICES:
        end = words.find(appendix)
        if end >= 0:
            words = words[:end]
    return _DOUBLE_QUOTED.sub('""', words) if '"' in words else words
