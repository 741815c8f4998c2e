"""Wrappers compiled with the parameters of the function that they wrap.

Packing a call's arguments into a tuple and a dictionary and unpacking them again is a third of what
a wrapper costs, so that the frame around a user's function takes and passes its parameters by name.
Where these can't be had (partials, callable objects), the same text is compiled with
``*args, **kwargs``.
"""

import inspect
import itertools
import linecache
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FunctionType, MethodType
from typing import Any

from seawall.operation import AsyncOperation

_NAME = re.compile(r"\w+")
_codes: dict[str, CodeType] = {}
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class _Shape:
    """The texts that stand for a function's parameters, and their default values."""

    params: str
    passed: str
    packed: str
    names: frozenset[str]
    defaults: dict[str, Any]


_GENERIC = _Shape("*args, **kwargs", "*args, **kwargs", "args, kwargs", frozenset(), {})


def compiled(template: str, operation: AsyncOperation, **names: object) -> AsyncOperation:
    """The coroutine function that ``template`` defines, with the parameters of ``operation``.

    Args:
        template: the text of one ``async def``; in it ``$params`` stands for the parameters,
            ``$passed`` for them as arguments, ``$packed`` for a tuple and a dictionary of them.
        operation: what it wraps; the text calls it ``operation``.
        **names: what else the text names.
    """
    shape = _shape_of(operation)
    if shape.names.intersection(_NAME.findall(template)):
        shape = _GENERIC  # a parameter is named as something of the template's
    text = template.strip()
    for mark in ("params", "passed", "packed"):
        text = text.replace(f"${mark}", getattr(shape, mark))
    known = {"operation": operation, **names, **shape.defaults}
    defined = re.match(r"async def (\w+)", text)
    if defined is None:
        raise ValueError("the template must begin with `async def`")
    source = (
        f"def make({', '.join(known)}):\n{textwrap.indent(text, '    ')}\n    return {defined[1]}\n"
    )
    namespace: dict[str, Any] = {}
    exec(_code_of(source), namespace)  # noqa: S102 - the text is ours, its names are identifiers
    made: AsyncOperation = namespace["make"](**known)
    return made


def _code_of(source: str) -> CodeType:
    """Compiled once for all functions of the same shape; tracebacks show its lines."""
    code = _codes.get(source)
    if code is None:
        filename = f"<seawall wrapper {next(_numbers)}>"
        lines = source.splitlines(keepends=True)
        linecache.cache[filename] = (len(source), None, lines, filename)
        code = _codes[source] = compile(source, filename, "exec")
    return code


def _shape_of(operation: Callable[..., Any]) -> _Shape:
    bound = isinstance(operation, MethodType)
    function = operation.__func__ if isinstance(operation, MethodType) else operation
    if not isinstance(function, FunctionType):
        return _GENERIC
    code = function.__code__
    names = list(code.co_varnames)
    positional = names[: code.co_argcount]
    keyword = names[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    rest = names[code.co_argcount + code.co_kwonlyargcount :]
    star = rest.pop(0) if code.co_flags & inspect.CO_VARARGS else None
    stars = rest.pop(0) if code.co_flags & inspect.CO_VARKEYWORDS else None
    if bound and not positional:
        return _GENERIC  # the object is taken by *args
    return _written(function, positional, keyword, (star, stars), skipped=int(bound))


def _written(
    function: FunctionType,
    positional: list[str],
    keyword: list[str],
    stars: tuple[str | None, str | None],
    *,
    skipped: int,
) -> _Shape:
    """The texts of a function's parameters, without the first ``skipped``."""
    defaults: dict[str, Any] = {}
    taken = _with_defaults(positional, function.__defaults__ or (), defaults)[skipped:]
    only_positional = function.__code__.co_posonlyargcount - skipped
    if only_positional > 0:
        taken.insert(only_positional, "/")
    args = positional[skipped:]
    tuple_ = [*args]
    dict_ = [f"{name!r}: {name}" for name in keyword]
    passed = [*args]
    star, double_star = stars
    if star is not None:
        taken.append(f"*{star}")
        passed.append(f"*{star}")
        tuple_.append(f"*{star}")
    elif keyword:
        taken.append("*")
    for name in keyword:
        given = (function.__kwdefaults__ or {}).get(name, _NO_DEFAULT)
        taken.append(name if given is _NO_DEFAULT else f"{name}={_keep(given, defaults)}")
        passed.append(f"{name}={name}")
    if double_star is not None:
        taken.append(f"**{double_star}")
        passed.append(f"**{double_star}")
        dict_.append(f"**{double_star}")
    packed_args = f"({', '.join(tuple_)},)" if tuple_ else "()"
    return _Shape(
        ", ".join(taken),
        ", ".join(passed),
        f"{packed_args}, {{{', '.join(dict_)}}}",
        frozenset([*args, *keyword, *(each for each in stars if each is not None)]),
        defaults,
    )


_NO_DEFAULT = object()


def _with_defaults(
    names: list[str], values: tuple[Any, ...], defaults: dict[str, Any]
) -> list[str]:
    without = len(names) - len(values)
    return names[:without] + [
        f"{name}={_keep(value, defaults)}"
        for name, value in zip(names[without:], values, strict=True)
    ]


def _keep(value: Any, defaults: dict[str, Any]) -> str:
    name = f"_seawall_default_{len(defaults)}"
    defaults[name] = value
    return name
