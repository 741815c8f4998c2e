"""Tracebacks from kept pieces: what Python prints, masked, and faster only."""

import traceback

import pytest

from seawall.classification import message as messages
from seawall.error_details import ErrorDescriber
from seawall.masking import Masker
from seawall.scope import Scope
from seawall.stack_text import FRAMES, StackTexts
from seawall.text import LIMIT


class OurError(Exception):
    pass


class BrokenError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def plain():
    raise OurError("it failed")


def caused():
    try:
        plain()
    except OurError as error:
        raise ValueError("then this") from error


def during():
    try:
        caused()
    except ValueError:
        raise KeyError("key")


def hidden():
    try:
        plain()
    except OurError:
        raise ValueError("alone") from None


def noted():
    try:
        plain()
    except OurError as error:
        error.add_note("by the way")
        raise


def grouped():
    try:
        plain()
    except OurError as error:
        raise ExceptionGroup("several", [error, ValueError("two")])


def suggested():
    return OurError().add_nota


def unknown_name():
    return plian  # noqa: F821


def syntax():
    compile("a b", "<text>", "exec")


def empty():
    raise ValueError


def recursion(depth=FRAMES * 3):
    return recursion(depth - 1) if depth else plain()


def circle():
    first, second = ValueError("first"), ValueError("second")
    first.__context__, second.__context__ = second, first
    raise first


WAYS = [plain, caused, during, hidden, noted, grouped, suggested, unknown_name, syntax, empty,
        recursion, circle]  # fmt: skip


def caught(function):
    try:
        function()
    except BaseException as error:
        return error


@pytest.mark.parametrize("function", WAYS, ids=lambda each: each.__name__)
def test_stack_text_is_what_python_prints_also_the_second_time(function):
    texts = StackTexts(Masker())
    for _ in range(2):
        error = caught(function)
        given = texts.text_of(error, texts.stack_of(error), str(error))
        assert given == "".join(traceback.format_exception(error, limit=-FRAMES))[:LIMIT]


def test_stack_text_of_an_error_never_raised_is_its_line():
    texts = StackTexts(Masker())
    error = OurError("x")
    name = f"{OurError.__module__}.OurError"
    assert texts.text_of(error, texts.stack_of(error), "x") == f"{name}: x\n"


def test_stack_text_masks_the_source_and_the_messages_behind():
    def failing():
        password = "hunter2"  # noqa: F841
        raise ValueError("password=hunter3")

    def outer():
        try:
            failing()
        except ValueError as error:
            connect(password="hunter4", cause=error)

    def connect(password, cause):
        raise OSError("no") from cause

    texts = StackTexts(Masker())
    error = caught(outer)
    text = texts.text_of(error, texts.stack_of(error), str(error))
    assert "hunter" not in text
    assert "direct cause" in text


def test_stack_text_is_kept_for_a_bounded_number_of_ways(monkeypatch):
    monkeypatch.setattr("seawall.stack_text._MOST_STACKS", 3)
    texts = StackTexts(Masker())
    for function in WAYS:
        error = caught(function)
        assert function.__name__ in texts.stack_of(error).text or function is syntax
        assert len(texts._known) <= 3


def test_described_error_whose_text_fails_is_a_row_all_the_same():
    def failing():
        raise BrokenError

    row = ErrorDescriber().describe(caught(failing), Scope()).row
    assert "whose __str__ fails" in repr(row)


def test_message_words_know_no_numbers_but_eight():
    """Messages that differ in other digits are read once: then no phrase may hold one."""
    assert {digit for phrase in messages._PHRASES for digit in phrase if digit.isdigit()} <= {"8"}
    needles = [needle for needles, *_ in messages._PATTERNS for needle in needles]
    assert not any(char.isdigit() for needle in needles for char in needle)


def test_message_detail_names_the_message_of_its_own():
    first = messages.explain_message("f() takes 2 positional arguments but 3 were given")
    second = messages.explain_message("f() takes 4 positional arguments but 5 were given")
    assert first.detail != second.detail
    assert "4" in second.detail
