"""The Masker: what finds and hides secrets in texts and in values."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from seawall.errors import InvalidConfigError
from seawall.masking.named import MASK, mask_named, named, named_value
from seawall.masking.shapes import FAMILIES
from seawall.masking.tokens import mask_tokens

_LONGEST_TEXT = 100_000
_CUT = " … (cut)"
_SHORTEST_BARE = 13  # letters and digits of a card number, the shortest secret that is only these
_DEEPEST = 30
_MOST_KNOWN_KEYS, _LONGEST_KNOWN_KEY = 10_000, 200
_MOST_PARTS = 100_000

# Visa, Mastercard, American Express, Discover, Diners, JCB; the check digit must be right too.
# The first digit stands before what must not precede it: scanning for a digit alone is fast.
_CARD = re.compile(
    r"[2-6](?<![\w.-]\d)(?:(?:(?<=4)\d|(?<=5)[1-5]|(?<=2)[2-7]|(?<=3)[0-8]|(?<=6)[05])\d\d"
    r"(?:[ -]?\d{4}){2}[ -]?\d{1,7}|(?<=3)[47]\d\d[ -]\d{6}[ -]\d{5})(?![\w-]|\.\d)"
)
_KEY_DETAIL = re.compile(
    r"(?i)(key \(([^()\n]{1,500})\)=\()([^\n]*?)(\)(?: |\.|,|$))", re.MULTILINE
)
_ROW_DETAIL = re.compile(r"(?i)(failing row contains \()[^\n]*")
_EMAIL = re.compile(
    r"(?<![\w.+%/-])[\w.+%-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])"
)
_SECRET_KEY = re.compile(
    r"passw(?:or)?d|passphrase|passcode|pwd|secret(?!ar|ion)|token(?!s$|iz|count|type|limit)"
    r"|(?:api|app|access|account|activation|auth|client|deploy|encryption|hmac|licen[cs]e|master"
    r"|private|service|session|shared|signing|ssh|storage|subscription|functions|webhook)key"
    r"|credential|sessionid|signature|authorization|cookie|connectionstring|pass$"
    r"|^(?:dsn|auth|sig|pin|otp|cvv|cvc|ssn)$"
)
_BY_HINT = {hint: number for number, (hints, *_) in enumerate(FAMILIES) for hint in hints}
_HARMLESS = (int, float, Decimal, date, time, timedelta, UUID, type(None))


def _card(match: re.Match[str]) -> str:
    digits = [int(char) for char in match[0] if char.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return MASK if (sum(doubled) + sum(digits[-1::-2])) % 10 == 0 else match[0]


class Masker:
    """Masks secrets; may be shared between tasks and threads.

    Args:
        extra_keys: names of what else is private (``"email"``): as a key in mappings, and in texts
            as ``email=…`` and in PostgreSQL's ``Key (email)=(…)``. Upper case, ``-`` and ``_`` make
            no difference. With any of them, ``Failing row contains (…)`` is masked whole.
        extra_patterns: regular expressions for texts; where one has a group named ``secret``, only
            that is masked, else all that matched.
        emails: mask e-mail addresses too.
        function: takes each text after all of this, gives the text to be written. What it raises
            reaches whoever wanted to write; it must find nothing in a text that it has masked.

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
        self._known_keys: dict[str, tuple[bool, str]] = {}
        self._asked = bool(self._extra_patterns or function)

    def mask_text(self, text: str) -> str:
        """The text with its secrets masked; past 100,000 characters it is cut."""
        if len(text) < _SHORTEST_BARE and text.isalnum() and not self._asked:
            return text  # too short for a token or a card, and no name of another's value
        if len(text) > _LONGEST_TEXT and not text.endswith(_CUT):
            text = text[:_LONGEST_TEXT] + _CUT
        text = self._without_known(text)
        if self._extra_names is not None:
            text = self._extra_names.sub(named_value, text)
            text = _ROW_DETAIL.sub(_row_detail, text)
        for pattern in self._extra_patterns:
            text = pattern.sub(_secret_group, text)
        if self._emails and "@" in text:
            text = _EMAIL.sub(MASK, text)
        return text if self._function is None else self._function(text)

    def _without_known(self, text: str) -> str:
        lower = text.lower()
        found = text
        # Nearly all texts hold none, or one: looked for by a loop of the interpreter's own.
        hinted = {_BY_HINT[hint] for hint in filter(lower.__contains__, _BY_HINT)}
        for number in sorted(hinted):
            _, pattern, replacement = FAMILIES[number]
            found = pattern.sub(replacement, found)
        if found is not text and found != text:
            text, lower = found, found.lower()
        text = mask_tokens(mask_named(text, lower), MASK)
        text = _CARD.sub(_card, text)
        return _KEY_DETAIL.sub(self._key_detail, text) if "key (" in lower else text

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
        is_fielded = dataclasses.is_dataclass(value) and not isinstance(value, type)
        if is_fielded or isinstance(value, msgspec.Struct):
            return self._fields(value, depth, parts)
        return self._other(value)

    def _fields(self, value: Any, depth: int, parts: list[int]) -> Any:
        """A dataclass or struct by its fields' names, also those that its ``repr`` leaves out."""
        names = (
            value.__struct_fields__
            if isinstance(value, msgspec.Struct)
            else [each.name for each in dataclasses.fields(value)]
        )
        fields = {name: getattr(value, name) for name in names if hasattr(value, name)}
        masked = self._mapping(fields, depth, parts)
        if all(_same(masked[name], each) for name, each in fields.items()):
            return value
        cls = type(value)
        return {"__type__": f"{cls.__module__}.{cls.__qualname__}", **masked}

    def _mapping(self, value: Mapping[Any, Any], depth: int, parts: list[int]) -> dict[Any, Any]:
        masked = {}
        for key, each in value.items():
            secret, shown = self._key(key) if isinstance(key, str) else (False, key)
            masked[shown] = (
                self._under(key, each) if secret else self._masked(each, depth - 1, parts)
            )
        return masked

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

    def _key(self, key: str) -> tuple[bool, str]:
        """Whether the key tells a secret, and the key as it may be shown."""
        known = self._known_keys.get(key)
        if known is None:
            known = self._is_secret(key), self.mask_text(key)
            if len(self._known_keys) < _MOST_KNOWN_KEYS and len(key) <= _LONGEST_KNOWN_KEY:
                self._known_keys[key] = known
        return known

    def _is_secret(self, key: str) -> bool:
        name = _normal(key)
        return name in self._extra_keys or _SECRET_KEY.search(name) is not None

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


def _same(masked: Any, value: Any) -> bool:
    try:
        return masked is value or bool(masked == value)
    except Exception:
        return False  # arrays and their like don't compare; their masked copy is as good


def _normal(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "", key.lower()[:200])


def _extra_names(keys: frozenset[str]) -> re.Pattern[str] | None:
    if not keys:
        return None
    names = "|".join("[_-]?".join(map(re.escape, key)) for key in sorted(keys))
    return named(rf"(?<![a-z0-9])(?:{names})")


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
