"""PatternMiner beyond grouping: types, exceptions, times, values, storms, the bound, its state."""

import json
from datetime import UTC, datetime

import pytest

from seawall import ErrorType, InvalidConfigError, PatternMiner, stack_fingerprint


def moment(seconds):
    return datetime.fromtimestamp(seconds, UTC)


def only(miner):
    (pattern,) = miner.patterns()
    return pattern


def raised(exc, *functions):
    """The exception as it comes out of the functions, outermost first."""
    try:
        if not functions:
            raise exc
        functions[0](exc)
    except BaseException as caught:
        return caught


def load_orders(exc):
    raise exc


def load_items(exc, depth=0):
    if depth:
        load_items(exc, depth - 1)
    raise exc


def test_observe_messages_that_differ_in_values_share_a_pattern():
    miner = PatternMiner()

    assert miner.observe("order 7 has no price") == miner.observe("order 8 has no price")
    assert only(miner).error_message_pattern == "order <*> has no price"
    assert only(miner).frequency == 2


def test_observe_error_types_never_share_a_pattern():
    miner = PatternMiner()
    ids = {
        miner.observe(f"the {name} is not there {n}", error_type=kind)
        for kind in (None, *ErrorType)
        for n, name in enumerate(["cat", "dog", "cow", "hen", "pig"])
    }
    now = {miner.match("the cat is not there 0", error_type=kind) for kind in (None, *ErrorType)}

    assert len(now) == 6
    assert len(ids) >= 6
    assert [pattern.error_type for pattern in miner.patterns()].count(ErrorType.DATA) == 1
    assert {pattern.frequency for pattern in miner.patterns()} == {5}


def test_match_pattern_found_to_be_more_general_gives_the_new_id():
    miner = PatternMiner()
    first = miner.observe("no table called orders in the schema")
    for name in ("items", "prices", "users"):
        miner.observe(f"no table called {name} in the schema")
    now = miner.match("no table called orders in the schema")

    assert now != first
    assert miner.resolve(first) == now == only(miner).pattern_id
    assert miner.match("no table called customers in the schema") == now
    assert only(miner).values == ((("items", 1), ("orders", 1), ("prices", 1), ("users", 1)),)


def test_observe_more_words_at_a_place_known_to_vary_keeps_the_id():
    words = [f"{a}{b}" for a in "abcdefgh" for b in "qrstuvwx"]
    miner = PatternMiner()
    ids = [miner.observe(f"no table called {word} in the schema") for word in words]

    assert len(set(ids[3:])) == 1


def test_observe_spaces_any_order_gives_one_template():
    messages = ["retry(3) now", "retry (3) now", "retry  (3)\tnow"]
    found = set()
    for order in (messages, messages[::-1]):
        miner = PatternMiner()
        assert len({miner.observe(message) for message in order}) == 1
        found.add(only(miner).error_message_pattern)

    assert found == {"retry(<*>) now"}


def test_observe_endless_variety_remembers_a_bounded_number_of_messages():
    miner = PatternMiner()
    for n in range(9_000):
        miner.observe(f"{'(' * (n % 100)}no such thing{')' * (n // 100)}")
    miner.observe("no such thing" + " and on" * 100)

    assert 0 < len(miner._recent) <= 8_192
    assert all(len(masked) <= 512 for masked, *_ in miner._recent)


def test_match_unseen_message_is_none_and_counts_nothing():
    miner = PatternMiner()

    assert miner.match("never seen") is None
    assert miner.observed == 0
    assert miner.resolve("0123456789abcdef") is None
    assert miner.resolve("no id") is None


def test_observe_times_given_in_any_order_keep_the_first_and_last():
    miner = PatternMiner()
    for at in (20.0, 5.5, 90.0, 30.0):
        miner.observe("disk is full", at=at)
    miner.observe("disk is full")

    assert (only(miner).first_seen, only(miner).last_seen) == (moment(5.5), moment(90.0))


def test_observe_without_times_has_none():
    miner = PatternMiner()
    miner.observe("disk is full")

    assert (only(miner).first_seen, only(miner).last_seen) == (None, None)


def test_observe_storm_counts_are_exact_and_values_about_right():
    miner = PatternMiner()
    for n in range(100_000):
        miner.observe(f"host {'10.0.0.1' if n % 4 else f'10.0.1.{n}'} is down")
    (value, weight), *_ = only(miner).values[0]

    assert only(miner).frequency == miner.observed == 100_000
    assert value == "10.0.0.1"
    assert 50_000 < weight <= 100_000


def test_merge_adds_counts_once_and_spans_the_times():
    one, other = PatternMiner(), PatternMiner()
    one.observe("disk 1 is full", at=1.0)
    other.observe("disk 2 is full", at=2.0)

    merged = PatternMiner().merge(one).merge(other).merge(one).merge(other)

    assert only(merged).frequency == merged.observed == 2
    assert (only(merged).first_seen, only(merged).last_seen) == (moment(1.0), moment(2.0))
    assert only(merged).values == ((("1", 1), ("2", 1)),)


def test_merge_later_state_of_a_worker_replaces_the_earlier_and_never_back():
    worker = PatternMiner(worker="w")
    worker.observe("disk is full")
    early = PatternMiner.load(worker.dump())
    worker.observe("disk is full")
    merged = PatternMiner().merge(early).merge(worker).merge(early)

    assert only(merged).frequency == 2


def test_merge_later_state_of_itself_is_taken_and_gone_on_from():
    ahead = PatternMiner(worker="w")
    behind = PatternMiner(worker="w")
    behind.observe("disk is full")
    for _ in range(3):
        ahead.observe("disk is full")
    behind.merge(ahead)
    behind.observe("disk is full")

    assert only(behind).frequency == 4


def test_merge_does_not_share_state_with_the_other():
    one, other = PatternMiner(), PatternMiner()
    one.observe("disk 1 is full")
    other.merge(one)
    one.observe("disk 2 is full")

    assert only(other).frequency == 1
    assert only(other).values == ((("1", 1),),)


def test_merge_workers_that_saw_two_words_each_find_the_variable():
    one, other = PatternMiner(), PatternMiner()
    for name in ("orders", "items"):
        one.observe(f"no table called {name} in the schema")
    for name in ("prices", "users"):
        other.observe(f"no table called {name} in the schema")

    assert len(one.patterns()) == 2
    assert only(one.merge(other)).error_message_pattern == "no table called <*> in the schema"


def test_observe_exception_with_words_goes_by_its_message():
    miner = PatternMiner()

    assert miner.observe_exception(ValueError("bad price 7")) == miner.observe("bad price 8")


@pytest.mark.parametrize("message", ["", "id", "17"])
def test_observe_exception_without_words_goes_by_its_stack(message):
    """str(KeyError("id")) is a value in quotes."""
    exc = KeyError(message) if message == "id" else ValueError(message)
    miner = PatternMiner()
    orders = miner.observe_exception(raised(exc, load_orders))
    again = miner.observe_exception(raised(type(exc)(message), load_orders))
    items = miner.observe_exception(raised(type(exc)(message), load_items))

    assert orders == again != items
    fingerprint = stack_fingerprint(raised(type(exc)(message), load_orders))
    assert miner.match(str(exc), fingerprint=fingerprint) == orders
    assert fingerprint in miner.patterns()[0].error_message_pattern


def test_observe_wordless_messages_of_many_stacks_stay_apart():
    for most in (64, 5_000):
        miner = PatternMiner(max_templates=most)
        for n in range(60):
            miner.observe("'id'", fingerprint=f"1:{n:x}")
            miner.observe("", fingerprint=f"1:{n:x}")
        miner.observe("one more message")

        assert sum(pattern.frequency for pattern in miner.patterns()) == 121
        assert not any(p.error_message_pattern in ("<*> at <*>", "<*>") for p in miner.patterns())
    assert len(miner.patterns()) == 121


def test_observe_exception_lone_member_of_groups_is_the_member():
    miner = PatternMiner()
    member = ValueError("bad price 7")
    lone = ExceptionGroup("tasks failed", [ExceptionGroup("inner", [member])])
    several = ExceptionGroup("tasks failed", [member, ValueError("x")])

    assert miner.observe_exception(lone) == miner.observe_exception(member)
    assert miner.observe_exception(several) == miner.observe("tasks failed (3 sub-exceptions)")


def test_observe_exception_broken_str_goes_by_its_stack():
    class BrokenError(Exception):
        def __str__(self):
            raise RuntimeError

    miner = PatternMiner()

    assert miner.observe_exception(raised(BrokenError())) is not None
    assert miner.observed == 1


def test_stack_fingerprint_is_versioned_and_tells_type_and_place_but_not_depth():
    base = stack_fingerprint(raised(ValueError(), load_items))

    assert base.startswith("1:")
    assert stack_fingerprint(raised(KeyError(), load_items)) != base
    assert stack_fingerprint(raised(ValueError(), load_orders)) != base
    deep = stack_fingerprint(raised(ValueError(), lambda exc: load_items(exc, 50)))
    deeper = stack_fingerprint(raised(ValueError(), lambda exc: load_items(exc, 90)))
    assert deep == deeper


def test_stack_fingerprint_own_frames_hide_those_of_libraries():
    def by_value():
        return json.loads("{")

    def by_bytes():
        return json.loads(b"[1")

    def fingerprint(function):
        try:
            function()
        except ValueError as exc:
            trace = exc.__traceback__
            while trace.tb_frame.f_code is not function.__code__:
                trace = trace.tb_next
            return stack_fingerprint(exc), stack_fingerprint(exc.with_traceback(trace.tb_next))

    own_one, foreign_one = fingerprint(by_value)
    own_other, foreign_other = fingerprint(by_bytes)

    assert own_one != own_other
    assert foreign_one == foreign_other  # json's frames alone, the same both times


def test_stack_fingerprint_never_raised_has_its_type():
    assert stack_fingerprint(ValueError()) != stack_fingerprint(KeyError())


def test_bound_reached_patterns_become_one_shape_and_take_in_the_like():
    miner = PatternMiner(max_templates=64, worker="w")
    words = [f"{a}{b}" for a in "abcdefghijklmnop" for b in "qrstuvwxyz"]
    for word in words:
        pattern = miner.observe(f"could not find the {word} table")
    rare = miner.observe("a message of its own kind")

    assert only_frequency(miner, pattern) == len(words)
    assert miner.match("could not find the zebra table") == pattern
    assert miner.match("a message of its own kind") == rare
    assert len(miner.dump()["workers"]["w"]["templates"]) <= 64


def test_bound_reached_two_places_that_vary_at_once_are_found():
    miner = PatternMiner(max_templates=64)
    words = [f"{a}{b}" for a in "abcdefghijklmnop" for b in "qrstuvwxyz"]
    for one, other in zip(words, reversed(words), strict=True):
        miner.observe(f"could not copy the table {one} into {other} today")

    assert only(miner).error_message_pattern == "could not copy the table <*> into <*> today"
    assert only(miner).frequency == len(words)


def test_bound_reached_by_unlike_messages_the_rarest_are_counted_together_by_type():
    miner = PatternMiner(max_templates=64)
    words = [f"{a}{b}" for a in "abcdefghijklmnop" for b in "qrstuvwxyz"]
    for _ in range(3):
        miner.observe("disk is full", error_type=ErrorType.SYSTEM)
    for n, word in enumerate(words):
        kind = ErrorType.DATA if n % 2 else ErrorType.SYSTEM
        miner.observe(f"{word} " * (n % 7 + 1), error_type=kind, at=float(n))
    found = {pattern.error_message_pattern: pattern for pattern in miner.patterns()}
    others = [p for p in miner.patterns() if p.error_message_pattern == "<others>"]

    assert {pattern.error_type for pattern in others} == {ErrorType.DATA, ErrorType.SYSTEM}
    assert found["disk is full"].frequency == 3
    assert sum(pattern.frequency for pattern in miner.patterns()) == len(words) + 3
    assert min(pattern.first_seen for pattern in others) == moment(0.0)


def test_bound_reached_merged_and_loaded_counts_stay_exact():
    words = [f"{a}{b}" for a in "abcdefghijklmnop" for b in "qrstuvwxyz"]
    one, other = PatternMiner(max_templates=64), PatternMiner(max_templates=64)
    for word in words:
        one.observe(f"could not find the {word} table")
        other.observe(f"could not find the {word[::-1]} table")
    merged = PatternMiner.load(
        json.loads(json.dumps(PatternMiner().merge(one).merge(other).dump()))
    )

    assert only(merged).frequency == 2 * len(words)
    assert only(merged).error_message_pattern == "could not find the <*> table"


def only_frequency(miner, pattern_id):
    (pattern,) = [p for p in miner.patterns() if p.pattern_id == pattern_id]
    return pattern.frequency


@pytest.mark.parametrize("most", [63, 0, 64.5, True])
def test_max_templates_out_of_range_is_refused_by_name(most):
    with pytest.raises(InvalidConfigError, match="max_templates"):
        PatternMiner(max_templates=most)


@pytest.mark.parametrize("key", ["version", "rules"])
def test_load_state_of_another_version_is_refused(key):
    state = PatternMiner().dump()
    state[key] = 99

    with pytest.raises(InvalidConfigError, match=rf"{key}=99"):
        PatternMiner.load(state)


def test_dump_holds_plain_json_and_no_more_than_eight_values_a_place():
    miner = PatternMiner(worker="w")
    for n in range(5_000):
        miner.observe(f"order {n} has no price")
    state = json.loads(json.dumps(miner.dump()))
    (template,) = state["workers"]["w"]["templates"]

    assert template["count"] == 5_000
    assert [len(values) <= 8 for values in template["values"]] == [True]
