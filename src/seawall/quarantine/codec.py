"""Records to JSON text and back, equal and of the same types (Q1). Never pickle.

The text is what PostgreSQL's ``json`` and ``jsonb`` take: no NUL, no lone surrogate, not even
escaped. Plain values stay plain, so that SQL can look into them; what JSON does not have is an
object with one key that starts with ``$``:

- ``{"$tuple": [...]}``, ``{"$set": [...]}``, ``{"$frozenset": [...]}``;
- ``{"$dict": [[key, value], ...]}`` where a key is no plain text or starts with ``$``;
- ``{"$object": [name, {field: value}]}`` for dataclasses and named tuples: a registered name comes
  back as its class, any other as the dict ``{"__type__": name, field: value, ...}``;
- ``{"$enum": [name, member]}`` for registered enums;
- the scalars of ``seawall.quarantine.scalar``.

This is format 1, which has no mark of its own. A later format marks its texts with
``{"$format": n, ...}``, which no text of format 1 can start with.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any

import msgspec

from seawall.errors import CodecError
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
_MALFORMED = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)
_DEEPEST = 100
_MOST_CONTAINERS = 1_000_000


def encode(record: object) -> str:
    """The record as JSON text that ``decode`` brings back equal.

    May be called from any thread.

    Raises:
        CodecError: a value inside is of a type that can't come back equal, contains itself or is
            nested too deep; the message names its path, its type and what to do.
    """
    try:
        text = _to_json(_flat(record))
        # Escaped NULs are what jsonb refuses; the careful way writes them otherwise.
        if b"\\u0000" not in text:
            return text.decode()
    except (LookupError, OverflowError, UnicodeError, CodecError):
        pass
    try:
        return _to_json(_Walk().tree(record)).decode()
    except RecursionError as exc:
        raise CodecError("the record is nested too deep for this call stack") from exc


def decode(text: str) -> Any:
    """The record that ``encode`` was given.

    Raises:
        CodecError: the text was not written by ``encode``, or by that of a newer version; or it
            needs a class that is not registered here.
    """
    try:
        node = _from_json(text)
        # Marks are keys that start with $: where no text does, there is none.
        return node if '"$' not in text and "\\u" not in text else _restored(node)
    except CodecError:
        raise
    except _MALFORMED as exc:
        raise CodecError(f"this is no record that seawall stored: {exc}") from exc


def _flat(record: Any) -> Any:
    """The JSON tree of a record whose values have no parts, in one pass.

    Raises:
        LookupError: it is another kind of record, or holds something with parts.
    """
    kind = type(record)
    if kind is dict:
        for key in record:
            if type(key) is not str or key[:1] == "$":
                raise LookupError
        return {
            key: value if type(value) in _PLAIN else FROM_SCALAR[type(value)](value)
            for key, value in record.items()
        }
    if kind is not tuple and kind is not list:
        raise LookupError
    values = [
        value if type(value) in _PLAIN else FROM_SCALAR[type(value)](value) for value in record
    ]
    return {"$tuple": values} if kind is tuple else values


class _Walk:
    """One careful walk over one record: any depth, every type, and the path for errors."""

    __slots__ = ("_open", "_path", "_visited")

    def __init__(self) -> None:
        self._path: list[str] = []
        self._open: set[int] = set()
        self._visited = 0

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
        if len(self._open) >= _DEEPEST:
            raise self._error(value, f"it is nested deeper than {_DEEPEST} levels")
        if self._visited > _MOST_CONTAINERS:
            raise self._error(value, f"the record has more than {_MOST_CONTAINERS:,} containers")
        self._open.add(id(value))
        built = self._built(value)
        self._open.discard(id(value))
        return built

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
        where = "".join(self._path[:20]) + ("…" if len(self._path) > 20 else "")
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


def _restored(node: Any) -> Any:
    kind = type(node)
    if kind is list:
        return [_restored(each) for each in node]
    if kind is not dict:
        return node
    for key in node:
        if key[:1] == "$":
            return _untagged(node, key)
    return {
        key: value if type(value) in _PLAIN else _restored(value) for key, value in node.items()
    }


def _untagged(node: dict[str, Any], tag: str) -> Any:
    if tag in TO_SCALAR and len(node) == 1:
        return TO_SCALAR[tag](node[tag])
    if tag in _TO_CONTAINER and len(node) == 1:
        return _TO_CONTAINER[tag](node[tag])
    raise CodecError(f"unknown mark {tag!r}: the record was stored by a newer version of seawall")


def _restored_dict(pairs: list[list[Any]]) -> dict[Any, Any]:
    return {_restored(key): _restored(value) for key, value in pairs}


def _restored_object(stored: list[Any]) -> Any:
    name, fields = stored
    return rebuilt(_restored(name), _restored(fields))


_TO_CONTAINER: dict[str, Callable[[Any], Any]] = {
    "$tuple": lambda items: tuple([_restored(each) for each in items]),
    "$set": lambda items: {_restored(each) for each in items},
    "$frozenset": lambda items: frozenset([_restored(each) for each in items]),
    "$dict": _restored_dict,
    "$object": _restored_object,
    "$enum": lambda stored: member(*stored),
}
