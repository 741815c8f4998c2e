"""One event of every kind there is, made from the types of its fields."""

import typing
from dataclasses import MISSING, fields
from uuid import UUID, uuid4

from seawall import events
from seawall.scope import Scope

KINDS = sorted(
    (
        each
        for each in vars(events).values()
        if isinstance(each, type) and issubclass(each, events.Event) and each is not events.Event
    ),
    key=lambda each: each.__name__,
)
SCOPE = Scope("flights", "run-4711", "load", "1.2")


def event_of(kind, **given):
    """An event with a value in every field; ``given`` ones as they are."""
    hints = typing.get_type_hints(kind)
    values = {"scope": SCOPE}
    for field in fields(kind):
        if field.name in given or field.name == "scope":
            continue
        if field.default is not MISSING and typing.get_args(hints[field.name]) == ():
            continue
        values[field.name] = _value(hints[field.name], field.name)
    return kind(**{**values, **given})


def _value(hint, name):
    if type(None) in typing.get_args(hint):
        hint = typing.get_args(hint)[0]
    made = {str: lambda: f"a {name}", int: lambda: 3, float: lambda: 1.5, bool: bool, UUID: uuid4}
    return made[hint]() if hint in made else ()
