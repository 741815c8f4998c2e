"""Marks on exceptions: what was already done with one, kept on it and gone with it."""

from typing import Any

# Every exception has this dict, also one whose class is frozen or shows another ``__dict__``.
_dict_of = BaseException.__dict__["__dict__"].__get__

_TOLD, _LOGGED = "_seawall_told", "_seawall_logged"


def put_told(error: BaseException, token: str, number: int) -> None:
    """The bus of this token was told of the error, as the ``number``-th of the process."""
    _dict_of(error)[_TOLD] = (token, number)


def was_told(error: BaseException, token: str, since: int = -1) -> bool:
    """Whether the bus of this token was told of this very object, after ``since``."""
    mark = _dict_of(error).get(_TOLD)
    return mark is not None and mark[0] == token and mark[1] > since


def put_logged(error: BaseException, token: str, error_id: Any) -> None:
    """The error is a row, of this id, for the worker of this token."""
    _dict_of(error)[_LOGGED] = (token, error_id)


def logged_as(error: BaseException, token: str) -> Any:
    """The id of the error's row, None where that worker has written none."""
    mark = _dict_of(error).get(_LOGGED)
    return mark[1] if mark is not None and mark[0] == token else None
