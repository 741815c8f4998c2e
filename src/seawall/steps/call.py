"""What a step is called with, so that a call that can't mean the same step is found out."""

import functools
import hashlib
from collections.abc import Callable
from typing import Any

from seawall.errors import CodecError, InvalidConfigError
from seawall.operation import name_of
from seawall.steps.store import KeptResult, StepCall

_LONGEST_NAME = 200


def step_call(
    run_id: str,
    step: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    encode: Callable[[Any], str],
) -> StepCall:
    """The call, with what tells it from others.

    Raises:
        InvalidConfigError: the name is no name.
    """
    given_name: object = step
    if not isinstance(given_name, str) or not step or len(step) > _LONGEST_NAME or "\x00" in step:
        raise InvalidConfigError(
            f"step {step!r}: must be a text of 1 to {_LONGEST_NAME} characters, without NUL"
        )
    core, given, keywords = function, list(args), dict[str, Any]()
    while isinstance(core, functools.partial):
        given, keywords = [*core.args, *given], {**core.keywords, **keywords}
        core = core.func
    module = getattr(core, "__module__", None) or type(core).__module__
    return StepCall(
        run_id=run_id,
        step=step,
        function=f"{module}.{name_of(core)}",
        arguments=_digest([given, keywords], encode),
    )


def _digest(arguments: Any, encode: Callable[[Any], str]) -> str | None:
    try:
        text = encode(arguments)
    except CodecError:
        return None  # a connection, a client: no value that could be compared
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def difference(before: StepCall | KeptResult, now: StepCall) -> str | None:
    """How the two calls of one step differ; None where they don't, or nobody can tell."""
    if before.function != now.function:
        return f"{before.function} was called, now it is {now.function}"
    known = before.arguments is not None and now.arguments is not None
    if known and before.arguments != now.arguments:
        return f"{now.function} was called with other arguments"
    return None
