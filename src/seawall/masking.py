"""Secrets out of texts and values, before anything is written or shown.

In a text, secrets are found by their shape (URL passwords, ``key=value`` pairs and headers with a
telling name, tokens with a known prefix, private keys, card numbers); in a mapping, by the name of
the key too. What was found becomes ``***``; masking twice changes nothing more.

Every expression takes time in proportion to the text: repeats are bounded or can't overlap.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from seawall.errors import InvalidConfigError

MASK = "***"

_LONGEST_TEXT = 100_000
_CUT = " … (cut)"
_DEEPEST = 30
_MOST_PARTS = 100_000

# Parts of a name that tell a secret (db_password, X-Api-Key-Id), then whole names.
_TELLING = (
    r"passw(?:or)?d|passphrase|pwd|secret(?!ar|ion)"
    r"|token(?!s\b|iz|_?(?:count|type|limit))"
    r"|api[_ -]?key|access[_-]?key|private[_-]?key|account[_-]?key|shared[_-]?key|master[_-]?key"
    r"|encryption[_-]?key|credential|session[_-]?id|signature|connection[_-]?string"
)
_NAMES = (
    rf"(?:{_TELLING})[\w.-]{{0,40}}|(?<![a-z0-9])(?:dsn|sig|cvv|cvc|ssn|auth(?=\S))(?![a-z0-9])"
)
_NAME_HINTS: tuple[str, ...] = (
    *("pass", "pwd", "secret", "token", "key", "credential", "session", "signature", "auth"),
    *("connection", "dsn", "sig", "cvv", "cvc", "ssn"),
)

# From the name to the value: = : => and, in the repr of headers, a comma between two quoted texts.
_BETWEEN = (
    r"""(?:\\{0,3}["']?\s{0,3}(?:=>|[:=])\s{0,3}(?:b(?=["']))?|["']\s{0,3},\s{0,3}b?(?=["']))"""
)
_QUOTED = r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\\{1,3}["'][^"'\n]*["']"""
# Quoted, in brackets, or up to white space; a comma or semicolon ends it only where it separates.
_VALUE = (
    rf"(?:{_QUOTED}|(?:\([^()\n]*\)|\[[^\[\]\n]*\]|\{{[^{{}}\n]*\}})(?!\w)"
    r"""|(?:[^\s,;&"']|[,;](?!\s|$|[\w.-]{1,40}[=:])|["'](?=\w))+)"""
)
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_QUOTE = re.compile(r"""\\{0,3}["']""")


def _named(names: str, value: str = _VALUE) -> re.Pattern[str]:
    return re.compile(rf"(?i)((?:{names}){_BETWEEN})({value})")


def _named_value(match: re.Match[str]) -> str:
    value = match[2]
    if len(value) <= 3 and not any(map(str.isalnum, value)):
        return match[0]  # a parser's "unexpected token: '}'"
    # The quotes or brackets stay, so that masking again finds the same value.
    for opening, closing in _BRACKETS.items():
        if value.startswith(opening) and value.endswith(closing) and len(value) > 1:
            return f"{match[1]}{opening}{MASK}{closing}"
    quote = _QUOTE.match(value)
    mark = quote[0] if quote is not None and value.endswith(quote[0]) else ""
    return f"{match[1]}{mark}{MASK}{mark}"


def _before(match: re.Match[str]) -> str:
    return match[1] + MASK


def _user_info(match: re.Match[str]) -> str:
    return f"://{match['user']}:{MASK}@" if match["user"] is not None else f"://{MASK}@"


def _whole(_match: re.Match[str]) -> str:
    return MASK


def _card(match: re.Match[str]) -> str:
    digits = [int(char) for char in match[0] if char.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return MASK if (sum(doubled) + sum(digits[-1::-2])) % 10 == 0 else match[0]


_Replacement = Callable[[re.Match[str]], str]
_Family = tuple[tuple[str, ...], re.Pattern[str], _Replacement]

# Each with what the lower-case text must hold for the expression to be worth its time.
_FAMILIES: tuple[_Family, ...] = (
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
        ("private key",),
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[^-]|-(?!----))*"
            r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"
        ),
        _whole,
    ),
    (
        ("authorization",),
        _named(
            r"authorization[\w-]{0,20}",
            r"(?:digest|aws4-hmac-sha256|oauth|signature)\b[^\r\n]*"
            rf"|(?:(?:basic|bearer|negotiate|token|apikey|key)\s+)?{_VALUE}",
        ),
        _named_value,
    ),
    (("cookie",), _named(r"cookie[\w-]{0,20}", rf"{_QUOTED}|[^\r\n]+"), _named_value),
    (_NAME_HINTS, _named(_NAMES), _named_value),
    (
        ("passw", "passphrase", "identified", "--"),
        re.compile(
            r"(?i)((?:passw(?:or)?d|passphrase|identified by)\s{1,3}(?=['\"])"
            rf"|--[\w-]{{0,20}}(?:{_TELLING})[\w-]{{0,20}}\s{{1,3}}(?!-))({_VALUE})"
        ),
        _named_value,
    ),
    (
        ("bearer", "basic"),
        # Prose ("basic authentication failed") has neither digits, capitals nor padding.
        re.compile(r"(\b(?i:bearer|basic)\s+)(?=\S{0,200}[A-Z0-9=])[\w.~+/=-]{8,}"),
        _before,
    ),
    (
        ("eyj",),
        re.compile(r"(?<![\w-])eyJ[\w-]{8,}(?:\.[\w-]+){1,4}"),
        _whole,
    ),
    (
        ("akia", "asia", "aroa", "aida", "abia", "acca"),
        re.compile(r"(?<![A-Za-z0-9])A(?:KI|SI|RO|ID|BI|CC)A[A-Z0-9]{16}(?![A-Za-z0-9])"),
        _whole,
    ),
    (
        ("gh", "glpat-", "xox", "sk-", "k_", "aiza", "npm_", "pypi-", "hf_", "sg.", "ya29", "hvs."),
        re.compile(
            r"(?<![A-Za-z0-9_])(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
            r"|xox[abeposr]-[\w-]{10,}|sk-[\w-]{20,}|[sr]k_(?:live|test)_\w{10,}|AIza[\w-]{35}"
            r"|npm_\w{30,}|pypi-[\w-]{30,}|hf_\w{30,}|SG\.[\w-]{16,}\.[\w-]{16,}"
            r"|ya29\.[\w-]{20,}|hvs\.[\w-]{20,})"
        ),
        _whole,
    ),
    (
        ("hooks.slack.com", "/api/webhooks/"),
        re.compile(r"((?:hooks\.slack\.com/(?:services|workflows)/|/api/webhooks/))[\w/-]+"),
        _before,
    ),
)
# Visa, Mastercard, American Express, Discover, Diners, JCB; the check digit must be right too.
# The first digit stands before what must not precede it: scanning for a digit alone is fast.
_CARD = re.compile(
    r"[2-6](?<![\w.-]\d)(?:(?<=4)\d|(?<=5)[1-5]|(?<=2)[2-7]|(?<=3)[0-8]|(?<=6)[05])\d\d"
    r"(?:[ -]?\d{4}){2}[ -]?\d{1,7}(?![\w-]|\.\d)"
)
_KEY_DETAIL = re.compile(
    r"(?i)(key \(([^()\n]{1,500})\)=\()([^\n]*?)(\)(?: |\.|,|$))", re.MULTILINE
)
_ROW_DETAIL = re.compile(r"(?i)(failing row contains \()[^\n]*")
_EMAIL = re.compile(
    r"(?<![\w.+%/-])[\w.+%-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])"
)
_SECRET_KEY = re.compile(
    r"passw(?:or)?d|passphrase|pwd|secret(?!ar|ion)|token(?!s$|iz|count|type|limit)|apikey|accesskey"
    r"|privatekey|accountkey|sharedkey|masterkey|encryptionkey|credential|sessionid|signature"
    r"|authorization|cookie|connectionstring|^(?:dsn|auth|sig|pin|cvv|cvc|ssn)$"
)
_HARMLESS = (int, float, Decimal, date, time, timedelta, UUID, type(None))


class Masker:
    """Masks secrets; may be shared between tasks and threads.

    Args:
        extra_keys: names of what else is private (``"email"``): as a key in mappings, and in texts
            as ``email=…`` and in PostgreSQL's ``Key (email)=(…)``. Upper case, ``-`` and ``_`` make
            no difference. With any of them, ``Failing row contains (…)`` is masked whole.
        extra_patterns: regular expressions for texts; where one has a group named ``secret``, only
            that is masked, else all that matched.

    Raises:
        InvalidConfigError: a pattern is no regular expression.
    """

    def __init__(
        self,
        extra_keys: Iterable[str] = (),
        extra_patterns: Iterable[str | re.Pattern[str]] = (),
        *,
        emails: bool = False,
        function: Callable[[str], str] | None = None,
    ) -> None:
        self._emails, self._function = emails, function
        self._extra_keys = frozenset(_normal(key) for key in extra_keys) - {""}
        self._extra_names = _extra_names(self._extra_keys)
        self._extra_patterns = tuple(_compiled(pattern) for pattern in extra_patterns)
        self._known_keys: dict[str, bool] = {}

    def mask_text(self, text: str) -> str:
        """The text with its secrets masked; past 100,000 characters it is cut."""
        if len(text) > _LONGEST_TEXT and not text.endswith(_CUT):
            text = text[:_LONGEST_TEXT] + _CUT
        lower = text.lower()
        for hints, pattern, replacement in _FAMILIES:
            for hint in hints:
                if hint in lower:
                    text = pattern.sub(replacement, text)
                    break
        text = _CARD.sub(_card, text)
        if "key (" in lower:
            text = _KEY_DETAIL.sub(self._key_detail, text)
        if self._extra_names is not None:
            text = self._extra_names.sub(_named_value, text)
            text = _ROW_DETAIL.sub(_row_detail, text)
        for pattern in self._extra_patterns:
            text = pattern.sub(_secret_group, text)
        if self._emails and "@" in text:
            text = _EMAIL.sub(MASK, text)
        return text if self._function is None else self._function(text)

    def mask_value(self, value: Any) -> Any:
        """The value with its secrets masked: a copy, never the same mapping or list.

        Mappings become dicts. An object of another kind stays as it is where its ``repr`` shows no
        secret, else it becomes its masked ``repr``. What is nested too deep is left out.
        """
        return self._masked(value, _DEEPEST, [_MOST_PARTS])

    def _masked(self, value: Any, depth: int, parts: list[int]) -> Any:
        if isinstance(value, str):
            return self.mask_text(value)
        if isinstance(value, _HARMLESS):
            return self._card_number(value) if type(value) is int else value
        parts[0] -= 1
        if depth <= 0 or parts[0] <= 0:
            return "…"
        if isinstance(value, bytes | bytearray):
            return type(value)(self.mask_text(value.decode("latin-1")).encode("latin-1", "replace"))
        if isinstance(value, Mapping):
            return self._mapping(value, depth, parts)
        if isinstance(value, list | tuple | set | frozenset):
            return self._items(value, depth, parts)
        return self._other(value)

    def _mapping(self, value: Mapping[Any, Any], depth: int, parts: list[int]) -> dict[Any, Any]:
        return {
            self.mask_text(key) if isinstance(key, str) else key: (
                self._under(key, each)
                if isinstance(key, str) and self._is_secret(key)
                else self._masked(each, depth - 1, parts)
            )
            for key, each in value.items()
        }

    def _items(self, value: Any, depth: int, parts: list[int]) -> Any:
        names = getattr(type(value), "_fields", None)
        if isinstance(value, tuple) and isinstance(names, tuple):  # a named tuple
            named = self._mapping(dict(zip(names, value, strict=True)), depth, parts)
            return tuple.__new__(type(value), [named[name] for name in names])
        items = [self._masked(each, depth - 1, parts) for each in value]
        for kind in (list, tuple, set):
            if isinstance(value, kind):
                return kind(items)
        return frozenset(items)

    def _under(self, key: str, value: Any) -> Any:
        """What is shown of the value under a secret name: that it is missing or a mere count."""
        if value is None or isinstance(value, bool) or value in ("", b""):
            return value
        count = isinstance(value, int | float) and "token" in key.lower()
        return value if count else MASK

    def _is_secret(self, key: str) -> bool:
        known = self._known_keys.get(key)
        if known is None:
            name = _normal(key)
            known = name in self._extra_keys or _SECRET_KEY.search(name) is not None
            if len(self._known_keys) < 10_000:
                self._known_keys[key] = known
        return known

    def _card_number(self, value: int) -> Any:
        if value < 10**12 or value >= 10**19:
            return value
        text = str(value)
        return value if _CARD.sub(_card, text) == text else MASK

    def _other(self, value: Any) -> Any:
        try:
            text = repr(value)
        except Exception:
            # Nobody can show what has no repr; it is not ours to break on it.
            return value
        masked = self.mask_text(text)
        return value if masked == text else masked

    def _key_detail(self, match: re.Match[str]) -> str:
        secret = any(self._is_secret(name.strip(' "')) for name in match[2].split(","))
        return match[1] + MASK + match[4] if secret else match[0]


def _normal(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "", key.lower()[:200])


def _extra_names(keys: frozenset[str]) -> re.Pattern[str] | None:
    if not keys:
        return None
    names = "|".join("[_-]?".join(map(re.escape, key)) for key in sorted(keys))
    return _named(rf"(?<![a-z0-9])(?:{names})")


def _compiled(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, TypeError) as exc:
        raise InvalidConfigError(f"extra_patterns {pattern!r}: not an expression: {exc}") from exc


def _secret_group(match: re.Match[str]) -> str:
    if "secret" not in match.re.groupindex:
        return MASK if match[0] else ""
    start, end = match.span("secret")
    if start < 0:
        return match[0]
    offset = match.start()
    return match[0][: start - offset] + MASK + match[0][end - offset :]


def _row_detail(match: re.Match[str]) -> str:
    return f"{match[1]}{MASK})."


default_masker = Masker()
