"""When shapes become one pattern."""

from seawall import ErrorType
from seawall.patterns.grouping import Grouping, key_of
from seawall.patterns.reading import VARIABLE

NAMES = [f"name{chr(97 + n)}" for n in range(26)]


def grouped(messages, error_type=None):
    grouping = Grouping()
    for message in messages:
        grouping.add(error_type, tuple(message.split()))
    return [" ".join(root.template) for root in {shape.root() for shape in grouping}]


def test_grouping_four_words_at_one_place_make_it_a_variable():
    messages = [f"cannot find the {name} table" for name in NAMES]

    assert len(grouped(messages[:3])) == 3
    assert grouped(messages[:4]) == ["cannot find the <*> table"]


def test_grouping_short_message_needs_eight_words():
    messages = [f"cannot find {name}" for name in NAMES]

    assert len(grouped(messages[:7])) == 7
    assert grouped(messages[:8]) == ["cannot find <*>"]


def test_grouping_first_word_needs_sixteen():
    messages = [f"{name} was shut down in order" for name in NAMES]

    assert len(grouped(messages[:15])) == 15
    assert grouped(messages[:16]) == ["<*> was shut down in order"]


def test_grouping_lone_words_never_become_one():
    assert len(grouped(NAMES)) == 26


def test_grouping_variable_known_at_a_place_takes_in_the_word_there():
    assert grouped(["cannot find the <*> table", "cannot find the orders table"]) == [
        "cannot find the <*> table"
    ]


def test_grouping_two_places_become_variables_one_after_the_other():
    messages = [f"copy of {a} into {b} has failed" for a in NAMES[:4] for b in NAMES[4:8]]

    assert grouped(messages) == ["copy of <*> into <*> has failed"]


def test_grouping_punctuation_is_no_word_that_varies():
    assert len(grouped([f"the end of it {sign}" for sign in "!?.:;,-"])) == 7


def test_grouping_names_of_values_stay_apart():
    assert len(grouped([f"the environment has {name} = <*>" for name in NAMES])) == 26


def test_grouping_error_types_have_nothing_in_common():
    grouping = Grouping()
    tokens = ("cannot", "find", "the", VARIABLE, "table")
    general = grouping.add(ErrorType.DATA, tokens, absorbs=True)
    other = grouping.add(ErrorType.SYSTEM, (*tokens[:3], "orders", "table"))

    assert other.root() is not general.root()
    assert grouping.find(ErrorType.TRANSIENT, tokens) is None


def test_grouping_absorbing_shape_takes_in_what_it_covers_whichever_came_first():
    for first in (True, False):
        grouping = Grouping()
        early = grouping.add(None, ("a", "b", "c", "d")) if first else None
        general = grouping.add(None, ("a", VARIABLE, VARIABLE, "d"), absorbs=True)
        one = early or grouping.add(None, ("a", "b", "c", "d"))

        assert one.root() is general.root()
        assert grouping.absorbing(None, ("a", "x", "y", "d")) is general
        assert grouping.absorbing(None, ("a", "x", "y", "e")) is None


def test_key_of_same_content_is_the_same_in_every_run():
    """Fixed here: stored patterns are found by it for ever."""
    assert key_of(None, ("user", VARIABLE, "not", "found")) == 0xFEE1B8BAAAE5CAB8
    assert key_of(ErrorType.DATA, ("user", VARIABLE, "not", "found")) != 0xFEE1B8BAAAE5CAB8
