"""The user's classes that come back as themselves: dataclasses and their like, and enums.

Like dataclasses are msgspec's structs, which ``JsonLinesSource(type=…)`` gives, and named tuples.

Nothing is ever imported by a stored name: a name that nobody registered stays a dict.
"""

import dataclasses
from enum import Enum
from typing import Any, TypeVar

import msgspec

from seawall.errors import CodecError, InvalidConfigError

_C = TypeVar("_C", bound=type)
_BY_NAME: dict[str, type] = {}
_NAMES: dict[type, str] = {}
_BUILTIN_BASES = (str, bytes, bytearray, int, float, list, dict, set, frozenset)


def register(cls: _C, name: str | None = None) -> _C:
    """Let records of ``cls`` come back as that class: a dataclass, struct, named tuple or enum.

    Works as a decorator too. ``name`` is what is stored, by default ``module.Class``: give one
    that stays when the class moves. Call it in the process that stores and the one that reads.

    Raises:
        InvalidConfigError: ``cls`` is of another kind, or the name stands for another class.
    """
    if not (is_fielded(cls) or issubclass(cls, Enum)):
        raise InvalidConfigError(
            f"{cls!r}: must be a dataclass, a msgspec.Struct, a named tuple or an enum"
        )
    stored = name or type_name(cls)
    other = _BY_NAME.get(stored)
    # The same class defined again (a module reloaded, a notebook cell run twice) replaces itself.
    if other is not None and other is not cls and type_name(other) != type_name(cls):
        raise InvalidConfigError(f"name {stored!r}: already stands for {type_name(other)}")
    _BY_NAME[stored] = cls
    _NAMES[cls] = stored
    return cls


def type_name(cls: type) -> str:
    """``module.Class``."""
    return f"{cls.__module__}.{cls.__qualname__}"


def stored_name(cls: type) -> str | None:
    """The name under which a class was registered."""
    return _NAMES.get(cls)


def is_fielded(cls: type) -> bool:
    """Whether instances are made of named fields and of nothing else."""
    if issubclass(cls, tuple):
        return isinstance(getattr(cls, "_fields", None), tuple)
    if issubclass(cls, msgspec.Struct):
        return True
    return dataclasses.is_dataclass(cls) and not issubclass(cls, _BUILTIN_BASES)


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of such an instance, by name; a field that is not set is left out."""
    if isinstance(value, tuple):
        return dict(zip(type(value)._fields, value, strict=True))  # type: ignore[attr-defined]
    names = (
        type(value).__struct_fields__
        if isinstance(value, msgspec.Struct)
        else [field.name for field in dataclasses.fields(value)]
    )
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def rebuilt(name: str, fields: dict[str, Any]) -> Any:
    """The instance of a registered class, else ``{"__type__": name, **fields}``.

    The state is put back as it was: ``__init__`` and ``__post_init__`` don't run (a struct's do).

    Raises:
        CodecError: the class registered by now has no place for a field, or has a new one without
            a default.
    """
    cls: Any = _BY_NAME.get(name)
    if cls is None:
        return {"__type__": name, **fields}
    if issubclass(cls, tuple):
        known, defaults = cls._fields, cls._field_defaults
        values = {**defaults, **fields}
        _check(name, set(fields) - set(known), set(known) - set(values))
        return tuple.__new__(cls, [values[each] for each in known])
    if issubclass(cls, msgspec.Struct):
        return _rebuilt_struct(name, cls, fields)
    known_fields = {field.name: field for field in dataclasses.fields(cls)}
    instance = cls.__new__(cls)
    values = {**_defaults(known_fields), **fields}
    _check(name, set(fields) - set(known_fields), _required(known_fields) - set(values))
    for field_name, value in values.items():
        object.__setattr__(instance, field_name, value)
    return instance


def _rebuilt_struct(name: str, cls: type[msgspec.Struct], fields: dict[str, Any]) -> Any:
    known = {field.name: field.required for field in msgspec.structs.fields(cls)}
    required = {field_name for field_name, is_required in known.items() if is_required}
    _check(name, set(fields) - set(known), required - set(fields))
    instance = cls(**fields)
    for field_name, value in fields.items():  # as they were, whatever __post_init__ makes of them
        msgspec.structs.force_setattr(instance, field_name, value)
    return instance


def member(name: str, key: str) -> Enum:
    """The member of a registered enum.

    Raises:
        CodecError: no enum has that name now, or it has no such member.
    """
    cls = _BY_NAME.get(name)
    if cls is None or not issubclass(cls, Enum):
        raise CodecError(f"enum {name!r} is not registered here; call register() on it first")
    if key not in cls.__members__:
        raise CodecError(f"enum {name!r} has no member {key!r}")
    return cls[key]


def _defaults(fields: dict[str, dataclasses.Field[Any]]) -> dict[str, Any]:
    made = {}
    for name, field in fields.items():
        if field.default is not dataclasses.MISSING:
            made[name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            made[name] = field.default_factory()
    return made


def _required(fields: dict[str, dataclasses.Field[Any]]) -> set[str]:
    return {name for name, field in fields.items() if field.init}


def _check(name: str, extra: set[str], missing: set[str]) -> None:
    if extra or missing:
        what = "no longer has" if extra else "now needs"
        raise CodecError(
            f"{name} {what} {', '.join(sorted(extra or missing))};"
            " register a class that fits the stored fields under this name"
        )
