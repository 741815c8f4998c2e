"""Marks on exceptions, also on those that take no attributes."""

import dataclasses
import gc
import weakref

import pytest

from seawall.marks import logged_as, put_logged, put_told, was_told


class Plain(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):  # noqa: N818 - a name for the test
    code: int = 1


class Closed(Exception):  # noqa: N818 - a name for the test
    __slots__ = ()

    def __setattr__(self, name, value):
        raise AttributeError(name)

    @property
    def __dict__(self):
        raise AttributeError("none")


@pytest.mark.parametrize(
    "make", [Plain, Frozen, Closed, KeyError, lambda: ExceptionGroup("g", [Plain()])]
)
def test_marks_stay_on_any_exception_for_their_token_alone(make):
    error = make()
    assert logged_as(error, "w") is None
    assert not was_told(error, "b")
    put_logged(error, "w", 17)
    put_told(error, "b", 5)
    assert (logged_as(error, "w"), logged_as(error, "other")) == (17, None)
    assert was_told(error, "b")
    assert was_told(error, "b", 4)
    assert not was_told(error, "b", 5)
    assert not was_told(error, "other")


def test_marks_keep_no_exception_alive():
    error = Plain()
    put_logged(error, "w", 17)
    put_told(error, "b", 5)
    gone = weakref.ref(error)
    del error
    gc.collect()
    assert gone() is None
