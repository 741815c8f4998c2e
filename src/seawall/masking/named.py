"""Secrets that a name gives away: ``password=…``, ``"api_key": "…"``, headers, command lines."""

import re
from collections.abc import Callable

MASK = "***"

# Parts of a name that tell a secret (db_password, X-Api-Key-Id), then whole names. Each begins with
# a letter that is no choice: the expression passes by all places but those with one of a few.
_KEYS = (
    "api|app|access|account|activation|auth|client|deploy|encryption|hmac|licence|license|master"
    "|private|service|session|shared|signing|ssh|storage|subscription|functions|webhook"
)
_BEFORE_KEY = "|".join(f"(?<={each}key)|(?<={each}[_ -]key)" for each in _KEYS.split("|"))
TELLING = (
    r"passw(?:or)?d|passphrase|passcode|pwd|secret(?!ar|ion)"
    r"|token(?!s\b|iz|_?(?:count|type|limit))"
    rf"|key(?:{_BEFORE_KEY})|credential|session[_-]?id|signature|connection[_-]?string"
)


def _alone(name: str, then: str = "") -> str:
    return rf"{name[0]}(?<![a-z0-9]{name[0]}){name[1:]}(?![a-z0-9]){then}"


_NAMES = "|".join(
    [
        rf"(?:{TELLING})[\w.-]{{0,40}}",
        *(_alone(each) for each in ("dsn", "sig", "cvv", "cvc", "ssn", "otp")),
        _alone("auth", r"(?=\S)"),
        r"pass(?![a-z0-9])(?:(?<=[_-]pass)|(?<![a-z0-9]pass)(?=\\{0,15}[\"']?\s?=))",
    ]
)
_HINTS: tuple[str, ...] = (
    *("pass", "pwd", "secret", "token", "key", "credential", "session", "signature", "auth"),
    *("connection", "dsn", "sig", "cvv", "cvc", "ssn", "otp"),
)

# From the name to the value: = : => and, in the repr of headers, a comma between two quoted texts.
# Backslashes stand before quotes in JSON within JSON: 1, 3, 7, 15 of them.
_BETWEEN = (
    r"""(?:\\{0,15}["']?\s{0,3}(?:=>|[:=])\s{0,3}(?:b(?=["']))?|["']\s{0,3},\s{0,3}b?(?=["']))"""
)
QUOTED = r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\\{1,15}["'][^"'\n]*["']"""
# Quoted, in brackets, or up to white space; a comma or semicolon ends it only where it separates.
VALUE = (
    rf"(?:{QUOTED}|(?:\([^()\n]*\)|\[[^\[\]\n]*\]|\{{[^{{}}\n]*\}})(?!\w)"
    r"""|(?:[^\s,;&"']|[,;](?!\s|$|[\w.-]{1,40}[=:])|["'](?=\w))+)"""
)
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_QUOTE = re.compile(r"""\\{0,15}["']""")

_NAME = re.compile(_NAMES)
_REST = re.compile(rf"({_BETWEEN})({VALUE})")

Replacement = Callable[[re.Match[str]], str]


def named(names: str, value: str = VALUE) -> re.Pattern[str]:
    """An expression for one of ``names`` (group 1, with what follows it) and its value."""
    return re.compile(rf"(?i)((?:{names}){_BETWEEN})({value})")


_SLOW = named(_NAMES)


def named_value(match: re.Match[str]) -> str:
    """The replacement for ``named``."""
    return match[1] + _masked(match[2])


def mask_named(text: str, lower: str) -> str:
    """The text without the values of telling names; ``lower`` is it in lower case."""
    if not any(map(lower.__contains__, _HINTS)):
        return text
    if len(lower) != len(text):  # a few letters are two in lower case
        return _SLOW.sub(named_value, text)
    # Names are looked for in the lower case, which is some times faster than in any case.
    done, at, parts = 0, 0, []
    while (name := _NAME.search(lower, at)) is not None:
        rest = _REST.match(text, name.end())
        if rest is None:
            at = name.start() + 1
            continue
        parts.append(text[done : rest.start(2)])
        parts.append(_masked(rest[2]))
        done = at = rest.end()
    parts.append(text[done:])
    return "".join(parts)


def _masked(value: str) -> str:
    if len(value) <= 3 and not any(map(str.isalnum, value)):
        return value  # a parser's "unexpected token: '}'"
    # The quotes or brackets stay, so that masking again finds the same value.
    for opening, closing in _BRACKETS.items():
        if value.startswith(opening) and value.endswith(closing) and len(value) > 1:
            return f"{opening}{MASK}{closing}"
    quote = _QUOTE.match(value)
    mark = quote[0] if quote is not None and value.endswith(quote[0]) else ""
    return f"{mark}{MASK}{mark}"
