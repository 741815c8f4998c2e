"""What each call is to meet, said in words: ``"ok, ConnectionError*2, 0.5s ok"``."""

import builtins
import importlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from seawall import errors as seawall_errors
from seawall.errors import InvalidConfigError

Fault = type[BaseException] | BaseException | Callable[[], BaseException]
Make = Callable[[], BaseException]

_STEP = re.compile(
    r"(?:(?P<seconds>\d+(?:\.\d+)?)s\s*)?(?P<outcome>[A-Za-z_][\w.]*)?\s*(?:\*\s*(?P<times>\d+))?"
)


@dataclass(frozen=True, slots=True)
class Step:
    """One call's fate: the exception that it raises, None for none, after a latency."""

    make: Make | None = None
    seconds: float | None = None


def steps_of(script: str | Iterable[str | Fault | None], errors: Iterable[Fault]) -> list[Step]:
    """The steps of a script, which names exceptions of ``errors``, of Python and of seawall.

    Raises:
        InvalidConfigError: a step can't be read, or names no exception.
    """
    known = {each.__name__: each for each in errors if isinstance(each, type)}
    steps: list[Step] = []
    for each in script.split(",") if isinstance(script, str) else script:
        if isinstance(each, str):
            steps += _read(each, known)
        else:
            steps.append(Step(None if each is None else maker_of(each)))
    return steps


def maker_of(fault: Fault) -> Make:
    """A function that makes the exception anew for each call.

    Raises:
        InvalidConfigError: it can't be made or copied, or is no exception.
    """
    make: Make = (lambda: _copied(fault)) if isinstance(fault, BaseException) else fault
    try:
        made: object = make()
    except Exception as error:
        raise InvalidConfigError(
            f"fault {fault!r}: can't be made anew for each call ({error!r});"
            " give a function without arguments that makes it"
        ) from error
    if not isinstance(made, BaseException):
        raise InvalidConfigError(
            f"fault {fault!r}: must be an exception, its type or a function that makes one"
        )
    return make


def _copied(error: BaseException) -> BaseException:
    # One exception raised again and again would gather the tracebacks and notes of all. Not by
    # copy.copy: tblib, which Dask brings, makes it give twins that share all they have.
    reduced: Any = error.__reduce__()
    make, arguments, *rest = reduced
    twin: BaseException = make(*arguments)
    if rest and rest[0] is not None:
        twin.__setstate__(rest[0])
    if getattr(error, "__notes__", None) is not None:
        twin.__notes__ = list(error.__notes__)
    twin.__cause__, twin.__suppress_context__ = error.__cause__, error.__suppress_context__
    return twin


def _read(text: str, known: dict[str, type[BaseException]]) -> list[Step]:
    match = _STEP.fullmatch(text.strip())
    if match is None or not (match["outcome"] or match["seconds"]):
        raise InvalidConfigError(
            f"script step {text.strip()!r}: must be `ok` or an exception's name, after a latency"
            " (`0.5s ok`) and before a number of times (`ConnectionError*3`) where wanted"
        )
    name = match["outcome"] or "ok"
    make = None if name == "ok" else maker_of(known.get(name) or _named(name))
    step = Step(make, None if match["seconds"] is None else float(match["seconds"]))
    return [step] * int(match["times"] or 1)


def _named(name: str) -> type[BaseException]:
    module, _, last = name.rpartition(".")
    try:
        homes = [importlib.import_module(module)] if module else [builtins, seawall_errors]
    except ImportError as error:
        raise InvalidConfigError(f"script: {name!r} can't be imported: {error}") from error
    for home in homes:
        found = getattr(home, last, None)
        if isinstance(found, type) and issubclass(found, BaseException):
            return found
    raise InvalidConfigError(
        f"script: {name!r} is no exception of Python or seawall; write its module too"
        " (`httpx.ConnectError`), or name its type in errors="
    )
