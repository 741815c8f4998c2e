"""Secrets that where they stand gives away: in URLs, keys in armour, headers, command lines.

Every expression takes time in proportion to the text: repeats are bounded or can't overlap.
"""

import re

from seawall.masking.named import MASK, QUOTED, TELLING, VALUE, Replacement, named, named_value

Family = tuple[tuple[str, ...], re.Pattern[str], Replacement]


def _before(match: re.Match[str]) -> str:
    return match[1] + MASK


def _user_info(match: re.Match[str]) -> str:
    return f"://{match['user']}:{MASK}@" if match["user"] is not None else f"://{MASK}@"


def _whole(_match: re.Match[str]) -> str:
    return MASK


_ARMOUR = r"[A-Za-z0-9 ]{0,40}(?:PRIVATE KEY(?: BLOCK)?|Static key V1)-----"

# Each with what the lower-case text must hold for the expression to be worth its time.
FAMILIES: tuple[Family, ...] = (
    (
        ("://",),
        re.compile(
            r"""://(?:(?P<user>[^\s/?#@:"'<>]{0,200}):"""
            r"""(?:[^\s/?#"'<>]{1,4000}|(?!\d{1,5}[/?#])[^\s"'<>@]{1,500})@"""
            r"""|[^\s/?#@:"'<>]{16,4000}@)"""
        ),
        _user_info,
    ),
    (
        ("private key", "static key"),
        re.compile(rf"-----BEGIN {_ARMOUR}(?:[^-]|-(?!----))*(?:-----END {_ARMOUR})?"),
        _whole,
    ),
    (
        ("private-lines",),
        re.compile(r"(Private-Lines: \d{1,4})(?:(?:\\r)?(?:\\n|\n)[A-Za-z0-9+/=]{1,80}){1,200}"),
        _before,
    ),
    (
        ("authorization",),
        named(
            r"authorization[\w-]{0,20}",
            r"(?:digest|aws4-hmac-sha256|oauth|signature)\b[^\r\n]*"
            rf"|(?:(?:basic|bearer|negotiate|token|apikey|key|ssws|bot)\s+)?{VALUE}",
        ),
        named_value,
    ),
    (("cookie",), named(r"cookie[\w-]{0,20}", rf"{QUOTED}|[^\r\n]+"), named_value),
    (
        ("passw", "passphrase", "identified", "--"),
        re.compile(
            r"(?i)((?:passw(?:or)?d|passphrase|identified by)\s{1,3}(?=['\"])"
            rf"|--[\w-]{{0,20}}(?:{TELLING})[\w-]{{0,20}}\s{{1,3}}(?!-))({VALUE})"
        ),
        named_value,
    ),
    (
        ("login",),
        re.compile(r"(\blogin\s{1,9}\S{1,200}\s{1,9}password\s{1,9})\S+"),
        _before,
    ),
    (
        ("curl", "sshpass", "redis-cli", "mysql"),
        re.compile(
            r"((?:\bcurl\b[^\n]{0,400}?\s(?:-u|--user)[ =]?['\"]?[^\s:'\"]{1,100}:"
            r"|\bsshpass\s{1,3}-p\s{0,3}|\bredis-cli\b[^\n]{0,200}?\s-a\s{1,3}"
            r"|\bmysql\w{0,10}\b[^\n]{0,200}?\s-p(?=\S))['\"]?)[^\s'\"]+"
        ),
        _before,
    ),
    (
        ("jdbc:oracle",),
        re.compile(r"(?i)(jdbc:oracle:\w{1,10}:[^/\s@]{1,100}/)[^@\s]{1,500}(?=@)"),
        _before,
    ),
    (
        # A line of .pgpass: host, port, database, user, password.
        (":5432:", ":6432:", ":*:"),
        re.compile(
            r"((?<![\w.*:-])[\w.*-]{1,200}:(?:5432|6432|\*):[^:\s]{1,100}:[^:\s]{1,100}:)\S+"
        ),
        _before,
    ),
    (
        ("$2", "$1$", "$5$", "$6$", "$y$", "$argon2"),
        re.compile(
            r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{50,}|\$[156y]\$(?:[^$\s]{1,60}\$){1,3}[./A-Za-z0-9]{20,}"
            r"|\$argon2\w{1,2}\$[^\s'\"]{20,}"
        ),
        _whole,
    ),
    (
        ("bearer", "basic"),
        # Prose ("basic authentication failed") has neither digits, capitals nor padding.
        re.compile(r"(\b(?i:bearer|basic)\s+)(?=\S{0,200}[A-Z0-9=])[\w.~+/=-]{8,}"),
        _before,
    ),
    (
        ("hooks", "webhook"),
        re.compile(
            r"((?:hooks\.slack\.com/(?:services|workflows|triggers)/|/api/webhooks/"
            r"|hooks\.zapier\.com/hooks/catch/|office\.com/webhook(?:b2)?/))[\w/@-]+"
        ),
        _before,
    ),
)
