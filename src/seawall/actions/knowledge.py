"""What is known of failures and what to do about them: data, read from ``knowledge.toml``. Pure.

The file says what its keys mean. An entry matches a failure by its codes, the types of the
exception and of those behind it, its messages and its recovery class.
"""

import functools
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seawall.classification import Classifier, ErrorType
from seawall.classification.chain import behind, members
from seawall.classification.codes import codes_of
from seawall.classification.reading import qualified_name, text_of
from seawall.errors import InvalidConfigError

VERSION = 1
KINDS = ("retry", "quarantine", "resume", "fallback", "breaker", "fix")
_ID = re.compile(r"[a-z][a-z0-9_]{2,40}")
_TEXTS = ("id", "kind", "do", "why", "command", "docs")
_ENTRY_KEYS = frozenset({*_TEXTS, "when", "examples"})
_CONDITION_KEYS = frozenset({"codes", "exceptions", "message", "error_type"})
_MOST_LOOKED_AT = 20  # exceptions of a group or chain
# How much a match says, by what it matched on.
CODE, TYPE, MESSAGE, CLASS = 8, 4, 2, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptoms:
    """What a failure shows.

    Attributes:
        codes: as ``explain`` spells them.
        exceptions: names of its types, bases and causes: each qualified, and without its module.
        messages: its texts, the outermost first.
        error_type: the recovery class.
    """

    codes: frozenset[str] = frozenset()
    exceptions: frozenset[str] = frozenset()
    messages: tuple[str, ...] = ()
    error_type: ErrorType = ErrorType.UNKNOWN

    @classmethod
    def of(cls, error: BaseException, classifier: Classifier) -> "Symptoms":
        """Those of an exception, of the members of a group, and of what is behind it."""
        found = classifier.explain(error)
        looked_at = [error, *members(error), *behind(error)][:_MOST_LOOKED_AT]
        codes = {found.detail.partition(",")[0]}
        names: set[str] = set()
        for each in looked_at:
            codes.update(codes_of(each))
            for base in type(each).__mro__[:-2]:
                names.update((qualified_name(base), base.__name__))
        return cls(
            codes=frozenset(codes),
            exceptions=frozenset(names),
            messages=tuple(text_of(each) for each in looked_at),
            error_type=found.error_type,
        )


@dataclass(frozen=True, slots=True)
class Condition:
    """What a failure must show; what is empty or None is not asked for."""

    codes: frozenset[str]
    exceptions: frozenset[str]
    message: re.Pattern[str] | None
    error_type: ErrorType | None

    def strength(self, symptoms: Symptoms) -> int:
        """How much it says that this failure is meant; 0 where it isn't."""
        total = 0
        if self.codes:
            if self.codes.isdisjoint(symptoms.codes):
                return 0
            total += CODE
        if self.exceptions:
            if self.exceptions.isdisjoint(symptoms.exceptions):
                return 0
            total += TYPE
        if self.message is not None:
            if not any(self.message.search(text) for text in symptoms.messages):
                return 0
            total += MESSAGE
        if self.error_type is not None:
            if self.error_type is not symptoms.error_type:
                return 0
            total += CLASS
        return total


@dataclass(frozen=True, slots=True)
class Entry:
    """One recommendation; its fields are those of ``knowledge.toml``."""

    id: str
    kind: str
    do: str
    why: str
    when: tuple[Condition, ...]
    command: str | None = None
    docs: str | None = None
    examples: tuple[str, ...] = ()

    @property
    def is_generic(self) -> bool:
        """Whether it goes by the recovery class alone."""
        return all(
            not each.codes and not each.exceptions and each.message is None for each in self.when
        )

    def strength(self, symptoms: Symptoms) -> int:
        return max(each.strength(symptoms) for each in self.when)


@dataclass(frozen=True, slots=True)
class Match:
    """An entry that speaks of a failure, and how much it says that."""

    entry: Entry
    strength: int


class KnowledgeBase:
    """Entries in order; the user's own come before those of the package.

    Args:
        own: the user's entries, as mappings of the file's keys.

    Attributes:
        own_ids: of the user's entries.

    Raises:
        InvalidConfigError: an entry isn't well-formed; names it, and what would be right.
    """

    def __init__(self, own: Sequence[Mapping[str, Any]] = ()) -> None:
        self._own = tuple(_entry(each) for each in own)
        _refuse_twins(self._own)
        self.own_ids = frozenset(each.id for each in self._own)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All, in order; those of the package are read when they are first asked for."""
        return (*self._own, *shipped())

    def match(self, symptoms: Symptoms) -> list[Match]:
        """The entries that speak of a failure: the user's, then the most specific first."""
        found = [Match(each, each.strength(symptoms)) for each in self.entries]
        own = len(self._own)
        ranked = sorted(
            (place >= own, -match.strength, place)
            for place, match in enumerate(found)
            if match.strength
        )
        return [found[place] for _, _, place in ranked]


@functools.cache
def shipped() -> tuple[Entry, ...]:
    """The entries of the package."""
    return entries_of(Path(__file__).with_name("knowledge.toml"))


def entries_of(path: Path) -> tuple[Entry, ...]:
    """The entries of a file.

    Raises:
        InvalidConfigError: the file is of another version, or an entry isn't well-formed.
        OSError: the file can't be read.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfigError(f"{path.name}: must be TOML; {error}") from None
    if content.get("version") != VERSION:
        raise InvalidConfigError(f"{path.name}: version={content.get('version')!r}: must be 1")
    found = tuple(_entry(each) for each in content.get("entry", ()))
    _refuse_twins(found)
    return found


def _refuse_twins(entries: Iterable[Entry]) -> None:
    seen: set[str] = set()
    for each in entries:
        if each.id in seen:
            raise InvalidConfigError(f"entry {each.id!r}: its id must be unique")
        seen.add(each.id)


def _entry(given: object) -> Entry:
    if not isinstance(given, Mapping):
        raise InvalidConfigError(f"entry {given!r}: must be a mapping")
    name = f"entry {given.get('id')!r}"
    if not _ENTRY_KEYS.issuperset(given):
        raise InvalidConfigError(f"{name}: must have no keys but {', '.join(sorted(_ENTRY_KEYS))}")
    for key in _TEXTS:
        value = given.get(key)
        needed = key not in ("command", "docs")
        if not (isinstance(value, str) and value.strip()) and (needed or value is not None):
            raise InvalidConfigError(f"{name}: {key}={value!r}: must be a text")
    if not _ID.fullmatch(given["id"]):
        raise InvalidConfigError(f"{name}: its id must be like 'free_disk_space'")
    if given["kind"] not in KINDS:
        raise InvalidConfigError(f"{name}: kind must be one of {', '.join(KINDS)}")
    when = given.get("when")
    if not isinstance(when, list | tuple) or not when:
        raise InvalidConfigError(f"{name}: when={when!r}: must be a list of conditions")
    return Entry(
        id=given["id"],
        kind=given["kind"],
        do=given["do"],
        why=given["why"],
        when=tuple(_condition(name, each) for each in when),
        command=given.get("command"),
        docs=given.get("docs"),
        examples=tuple(given.get("examples", ())),
    )


def _condition(name: str, given: object) -> Condition:
    if not isinstance(given, Mapping) or not given or not _CONDITION_KEYS.issuperset(given):
        keys = ", ".join(sorted(_CONDITION_KEYS))
        raise InvalidConfigError(f"{name}: condition {given!r}: must have some of {keys}")
    try:
        message = given.get("message")
        kind = given.get("error_type")
        return Condition(
            codes=_names(given.get("codes", ())),
            exceptions=_names(given.get("exceptions", ())),
            message=None if message is None else re.compile(message, re.IGNORECASE),
            error_type=None if kind is None else ErrorType(kind),
        )
    except (re.error, ValueError, TypeError) as error:
        raise InvalidConfigError(f"{name}: condition {given!r}: must be right; {error}") from None


def _names(given: object) -> frozenset[str]:
    if isinstance(given, str) or not isinstance(given, list | tuple | frozenset | set):
        raise TypeError(f"{given!r} must be a list of texts")
    return frozenset(str(each) for each in given)
