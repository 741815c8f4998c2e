"""Records to JSON text and back, equal and of the same types (Q1). Never pickle.

The text is what PostgreSQL's ``json`` and ``jsonb`` take: no NUL, no lone surrogate, not even
escaped. Plain values stay plain, so that SQL can look into them; what JSON does not have is an
object with one key that starts with ``$``:

- ``{"$tuple": [...]}``, ``{"$set": [...]}``, ``{"$frozenset": [...]}``;
- ``{"$dict": [[key, value], ...]}`` where a key is no plain text or starts with ``$``;
- ``{"$object": [name, {field: value}]}`` for dataclasses, msgspec's structs and named tuples: a
  registered name comes back as its class, any other as the dict
  ``{"__type__": name, field: value, ...}``;
- ``{"$enum": [name, member]}`` for registered enums;
- ``{"$row": [library, {column: value}, [type, ...], [[name, type, value], ...]]}`` for a row of a
  DataFrame (``seawall.quarantine.frames``): the types of its columns, then its index;
- the scalars of ``seawall.quarantine.scalar``.

This is format 1, which has no mark of its own. A later format marks its texts with
``{"$format": n, ...}``, which no text of format 1 can start with.

Format 2 is for what is nested too deep for JSON readers and for PostgreSQL's stack:
``{"$format": 2, "parts": [...]}``. Part 0 is the record; where a part would go too deep stands
``{"$part": n}``, and part n (a later one) goes there.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from seawall.errors import CodecError
from seawall.quarantine.frames import Column, FrameRow
from seawall.quarantine.preview import preview
from seawall.quarantine.registry import (
    fields_of,
    is_fielded,
    member,
    rebuilt,
    register,
    stored_name,
    type_name,
)
from seawall.quarantine.scalar import FROM_SCALAR, TO_SCALAR

__all__ = ["decode", "encode", "preview", "register"]

_to_json = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder(strict=True).decode
_PLAIN = frozenset({str, int, bool, type(None)})
_TEXT = frozenset({str})
_MALFORMED = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)
_DEEPEST = 100
_SHALLOW = 8  # containers a part, where the caller's own stack is nearly used up
_SHOWN_STEPS = 20
_MISSING = object()
_FORMAT_2 = {"$format", "parts"}
_MOST_CONTAINERS = 1_000_000


def encode(record: object) -> str:
    """The record as JSON text that ``decode`` brings back equal.

    May be called from any thread.

    Raises:
        CodecError: a value inside is of a type that can't come back equal, or contains itself; the
            message names its path, its type and what to do.
    """
    try:
        text = _to_json(_flat(record))
        # Escaped NULs are what jsonb refuses; the careful way writes them otherwise.
        if b"\\u0000" not in text:
            return text.decode()
    except (LookupError, OverflowError, UnicodeError, CodecError):
        pass
    try:
        return _to_json(_in_parts(record, _DEEPEST)).decode()
    except RecursionError:
        pass
    try:
        return _to_json(_in_parts(record, _SHALLOW)).decode()
    except RecursionError as exc:
        raise CodecError("this call stack is too deep already to write a record out") from exc


def decode(text: str) -> Any:
    """The record that ``encode`` was given.

    Raises:
        CodecError: the text was not written by ``encode``, or by that of a newer version; or it
            needs a class that is not registered here.
    """
    try:
        tree = _from_json(text)
        # Marks are keys that start with $: where no text does, there is none.
        if '"$' not in text and "\\u" not in text:
            return tree
        if type(tree) is dict and tree.keys() == _FORMAT_2 and tree["$format"] == 2:
            return _joined(tree["parts"])
        return _restored(tree)
    except CodecError:
        raise
    except _MALFORMED as exc:
        raise CodecError(f"this is no record that seawall stored: {exc}") from exc


def _in_parts(record: Any, deepest: int) -> Any:
    """The record's tree; format 2 where it is nested deeper than ``deepest``."""
    walk = _Walk(deepest)
    parts = [walk.tree(record)]
    while walk.cut:
        parts.extend(walk.next_part() for _ in range(len(walk.cut)))
    return parts[0] if len(parts) == 1 else {"$format": 2, "parts": parts}


def _joined(parts: list[Any]) -> Any:
    """The record of format 2: the innermost parts first, so that none waits for another."""
    built: list[Any] = [_MISSING] * len(parts)
    for number in reversed(range(len(parts))):
        built[number] = _restored(parts[number], built)
    return built[0]


def _flat(record: Any) -> Any:
    """The JSON tree of a record whose values have no parts, in one pass.

    Raises:
        LookupError: it is another kind of record, or holds something with parts.
    """
    kind = type(record)
    if kind is dict:
        keys = tuple(record)
        # Their types each time: a subclass of str is equal to what is known.
        if keys not in _known_keys or not _TEXT.issuperset(map(type, keys)):
            _check_keys(keys)
        tree = record
        for key, value in record.items():
            if type(value) not in _PLAIN:
                if tree is record:
                    tree = record.copy()
                tree[key] = FROM_SCALAR[type(value)](value)
        return tree
    if kind in _PLAIN:
        return record
    if kind is FrameRow and not record.index and all(map(_is_plain, record.dtypes)):
        return {"$row": [record.library, _flat(dict(record)), record.dtypes, []]}
    if kind is not tuple and kind is not list:
        raise LookupError
    values = [
        value if type(value) in _PLAIN else FROM_SCALAR[type(value)](value) for value in record
    ]
    return {"$tuple": values} if kind is tuple else values


def _is_plain(values: list[Any]) -> bool:
    return _PLAIN.issuperset(map(type, values))


# Records of one source have the same keys: they are looked at once, not in every record.
_known_keys: set[tuple[Any, ...]] = set()
_MOST_KNOWN_KEYS = 256


def _check_keys(keys: tuple[Any, ...]) -> None:
    for key in keys:
        if type(key) is not str or key[:1] == "$":
            raise LookupError
    if len(_known_keys) < _MOST_KNOWN_KEYS and len(keys) <= _MOST_KNOWN_KEYS:
        _known_keys.add(keys)


@dataclass(frozen=True, slots=True)
class _Cut:
    """A container that starts a part of its own: where it stands, and what it stands in."""

    value: Any
    path: tuple[str, ...]
    above: "_Cut | None"


class _Walk:
    """One careful walk over one record: any depth, every type, and the path for errors."""

    __slots__ = ("_above", "_deepest", "_open", "_parts", "_path", "_visited", "cut")

    def __init__(self, deepest: int) -> None:
        self._deepest = deepest
        self._path: list[str] = []
        self._open: set[int] = set()
        self._visited = 0
        self._parts = 1
        self._above: _Cut | None = None
        self.cut: deque[_Cut] = deque()

    def next_part(self) -> Any:
        """The tree of the first container that was cut off."""
        self._above = self.cut.popleft()
        self._path, self._open = list(self._above.path), set()
        return self.tree(self._above.value)

    def tree(self, value: Any) -> Any:
        """The value as plain JSON values."""
        scalar = FROM_SCALAR.get(type(value))
        if scalar is None:
            return self._container(value)
        try:
            return scalar(value)
        except CodecError as exc:
            raise self._error(value, str(exc)) from None

    def _container(self, value: Any) -> Any:
        self._visited += 1
        if id(value) in self._open:
            raise self._error(value, "it contains itself")
        if self._visited > _MOST_CONTAINERS:
            raise self._error(value, f"the record has more than {_MOST_CONTAINERS:,} containers")
        if len(self._open) >= self._deepest:
            return self._cut_off(value)
        self._open.add(id(value))
        built = self._built(value)
        self._open.discard(id(value))
        return built

    def _cut_off(self, value: Any) -> Any:
        # What contains itself is cut at the same container again after some rounds.
        above = self._above
        while above is not None:
            if above.value is value:
                raise self._error(value, "it contains itself")
            above = above.above
        self.cut.append(_Cut(value, tuple(self._path[:_SHOWN_STEPS]), self._above))
        self._parts += 1
        return {"$part": self._parts - 1}

    def _built(self, value: Any) -> Any:
        cls = type(value)
        if cls is list:
            return self._items(value)
        if cls is dict:
            return self._dict(value)
        if cls in _SEQUENCES:
            return {_SEQUENCES[cls]: self._items(value)}
        if isinstance(value, Enum):
            return self._enum(value)
        if cls is FrameRow:
            return self._row(value)
        if is_fielded(cls):
            name = stored_name(cls) or type_name(cls)
            return {"$object": [self.tree(name), self._dict(fields_of(value), "{}.{}")]}
        raise self._error(value, _advice(value))

    def _items(self, values: Any) -> list[Any]:
        return [self._at(f"[{index}]", value) for index, value in enumerate(values)]

    def _dict(self, value: dict[Any, Any], shape: str = "{}[{!r}]") -> Any:
        if all(type(key) is str and key[:1] != "$" and _is_plain_text(key) for key in value):
            return {key: self._at(shape.format("", key), each) for key, each in value.items()}
        return {
            "$dict": [
                [self._at(f"<key {_shown(key)}>", key), self._at(f"[{_shown(key)}]", each)]
                for key, each in value.items()
            ]
        }

    def _row(self, row: FrameRow) -> Any:
        index = [self._items(each) for each in row.index]
        return {"$row": [row.library, self._dict(row), self._items(row.dtypes), index]}

    def _enum(self, value: Enum) -> Any:
        name = stored_name(type(value))
        if name is None:
            raise self._error(value, "register() its enum, or store its value")
        if value.name not in type(value).__members__:
            raise self._error(value, "it has no name of its own; store its value")
        return {"$enum": [name, value.name]}

    def _at(self, step: str, value: Any) -> Any:
        self._path.append(step)
        built = self.tree(value)
        self._path.pop()
        return built

    def _error(self, value: object, reason: str) -> CodecError:
        shown = self._path[:_SHOWN_STEPS]
        where = "".join(shown) + ("…" if len(self._path) > len(shown) or self._above else "")
        return CodecError(f"record{where} is a {type_name(type(value))}: {reason}")


def _is_plain_text(key: str) -> bool:
    return FROM_SCALAR[str](key) is key


def _shown(key: object) -> str:
    return preview(key, 40)


def _advice(value: object) -> str:
    cls = type(value)
    if hasattr(cls, "tolist"):  # numpy, pandas
        return "convert it with .tolist()"
    if hasattr(cls, "to_pydatetime"):
        return "convert it with .to_pydatetime()"
    for base in (dict, list, tuple, set, str, int, float, bytes):
        if issubclass(cls, base):
            return f"a subclass would come back as another type; convert it with {base.__name__}()"
    if hasattr(cls, "keys"):
        return "convert it with dict()"
    return "convert it to plain values, or make it a dataclass"


_SEQUENCES: dict[type, str] = {tuple: "$tuple", set: "$set", frozenset: "$frozenset"}


def _restored(node: Any, parts: Sequence[Any] = ()) -> Any:
    kind = type(node)
    if kind is list:
        return [_restored(each, parts) for each in node]
    if kind is not dict:
        return node
    for key in node:
        if key[:1] == "$":
            return _untagged(node, key, parts)
    return {
        key: value if type(value) in _PLAIN else _restored(value, parts)
        for key, value in node.items()
    }


def _untagged(node: dict[str, Any], tag: str, parts: Sequence[Any]) -> Any:
    if tag in TO_SCALAR and len(node) == 1:
        return TO_SCALAR[tag](node[tag])
    if tag in _TO_CONTAINER and len(node) == 1:
        return _TO_CONTAINER[tag](node[tag], parts)
    raise CodecError(f"unknown mark {tag!r}: the record was stored by a newer version of seawall")


def _restored_part(number: int, parts: Sequence[Any]) -> Any:
    part = parts[number] if number >= 0 else _MISSING
    if part is _MISSING:
        raise CodecError(f"part {number} of the record is not there: its text was altered")
    return part


def _restored_dict(pairs: list[list[Any]], parts: Sequence[Any]) -> dict[Any, Any]:
    return {_restored(key, parts): _restored(value, parts) for key, value in pairs}


def _restored_object(stored: list[Any], parts: Sequence[Any]) -> Any:
    name, fields = stored
    return rebuilt(_restored(name), _restored(fields, parts))


def _restored_row(stored: list[Any], parts: Sequence[Any]) -> FrameRow:
    library, values, dtypes, index = stored
    levels = [Column(*_restored(each, parts)) for each in index]
    return FrameRow(library, _restored(values, parts), _restored(dtypes, parts), levels)


_TO_CONTAINER: dict[str, Callable[[Any, Sequence[Any]], Any]] = {
    "$tuple": lambda items, parts: tuple([_restored(each, parts) for each in items]),
    "$set": lambda items, parts: {_restored(each, parts) for each in items},
    "$frozenset": lambda items, parts: frozenset([_restored(each, parts) for each in items]),
    "$dict": _restored_dict,
    "$object": _restored_object,
    "$enum": lambda stored, _parts: member(*stored),
    "$row": _restored_row,
    "$part": _restored_part,
}
