"""A miner's patterns depend on what was seen, not on who saw it, when, or how often it was merged."""

import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from seawall import ErrorType, PatternMiner

WORDS = st.sampled_from(
    ["alice", "bob", "carol", "dave", "eve", "frank", "orders", "items", "17", "'x'", "a.b.com"]
)
TEMPLATES = st.sampled_from(
    [
        "{} could not open the file {} again",
        "loading {} into {} failed",
        "{}: permission denied",
        "retry {}",
        "{} {}",
        "",
        "key={} value={} in table {}",
    ]
)
MESSAGES = st.builds(
    lambda template, a, b, c: template.format(a, b, c), TEMPLATES, WORDS, WORDS, WORDS
)
TYPES = st.sampled_from([None, ErrorType.DATA, ErrorType.TRANSIENT])
SEEN = st.lists(st.tuples(MESSAGES, TYPES, st.floats(0, 1e9)), max_size=120)


def mined(seen, **options):
    miner = PatternMiner(**options)
    for message, error_type, at in seen:
        miner.observe(message, error_type=error_type, at=at)
    return miner


def shown(miner):
    """All but the values, which are sampled."""
    return [
        (
            pattern.pattern_id,
            pattern.error_message_pattern,
            pattern.frequency,
            pattern.error_type,
            pattern.first_seen,
            pattern.last_seen,
        )
        for pattern in miner.patterns()
    ]


def matched(miner, seen):
    return [miner.match(message, error_type=error_type) for message, error_type, _ in seen]


@given(SEEN, st.data())
def test_miner_order_of_messages_any_gives_the_same(seen, data):
    shuffled = data.draw(st.permutations(seen))

    assert shown(mined(shuffled)) == shown(mined(seen))


@given(SEEN, st.data())
def test_merge_split_over_workers_any_gives_what_one_worker_finds(seen, data):
    whole = mined(seen)
    workers = range(data.draw(st.integers(1, 5)))
    owner = [data.draw(st.sampled_from(workers)) for _ in seen]
    miners = [mined([one for one, of in zip(seen, owner) if of == worker]) for worker in workers]

    merged = PatternMiner()
    for miner in data.draw(st.permutations(miners)):
        merged.merge(miner)

    assert shown(merged) == shown(whole)
    assert matched(merged, seen) == matched(whole, seen)


@given(SEEN, SEEN, SEEN)
def test_merge_any_grouping_and_repetition_gives_the_same_state(first, second, third):
    a, b, c = mined(first, worker="a"), mined(second, worker="b"), mined(third, worker="c")

    left = PatternMiner(worker="x").merge(a).merge(b).merge(c)
    right = PatternMiner(worker="x").merge(PatternMiner(worker="x").merge(c).merge(b)).merge(a)
    again = PatternMiner(worker="x").merge(left).merge(b).merge(left).merge(a)

    assert left.dump() == right.dump() == again.dump()
    assert shown(left) == shown(right) == shown(again)


@given(SEEN)
def test_match_after_each_observation_is_what_observe_returned(seen):
    miner = PatternMiner()
    for message, error_type, _ in seen:
        pattern = miner.observe(message, error_type=error_type)

        assert miner.match(message, error_type=error_type) == pattern


@given(SEEN)
def test_resolve_of_every_id_ever_given_is_the_one_that_match_gives_now(seen):
    miner = PatternMiner()
    given_ids = [miner.observe(message, error_type=kind) for message, kind, _ in seen]

    assert [miner.resolve(pattern) for pattern in given_ids] == matched(miner, seen)


@given(SEEN, SEEN)
def test_load_of_a_dump_through_json_is_the_same_miner_and_goes_on(seen, later):
    miner = mined(seen)
    loaded = PatternMiner.load(json.loads(json.dumps(miner.dump())))

    assert loaded.dump() == json.loads(json.dumps(miner.dump()))
    for message, error_type, at in later:
        assert loaded.observe(message, error_type=error_type, at=at) == miner.observe(
            message, error_type=error_type, at=at
        )
    assert loaded.patterns() == miner.patterns()


@given(SEEN)
def test_frequency_is_the_exact_count_by_type(seen):
    counted = Counter()
    for pattern in mined(seen).patterns():
        counted[pattern.error_type] += pattern.frequency

    assert counted == Counter(error_type for _, error_type, _ in seen)


LETTERS = st.text("abcdefg", min_size=3, max_size=8)
STRANGE = st.one_of(
    st.lists(LETTERS, min_size=1, max_size=6).map(" ".join),
    st.builds("row rejected by {} because {}".format, LETTERS, LETTERS),
    st.text(max_size=40),
)


@given(st.lists(st.tuples(STRANGE, TYPES), max_size=400))
def test_bound_is_kept_and_counts_stay_exact_whatever_comes(seen):
    miner = PatternMiner(max_templates=64, worker="w")
    for message, error_type in seen:
        pattern = miner.observe(message, error_type=error_type)
        assert miner.match(message, error_type=error_type) == pattern
    counted = Counter()
    for found in miner.patterns():
        counted[found.error_type] += found.frequency

    assert len(miner.dump()["workers"]["w"]["templates"]) <= 64
    assert counted == Counter(error_type for _, error_type in seen)


@given(st.text(max_size=200), st.data())
def test_observe_takes_any_text(text, data):
    miner = PatternMiner()
    cut = data.draw(st.integers(0, len(text)))
    for between in ("", "\0", "12", "\ud800", " <*> "):
        message = text[:cut] + between + text[cut:]
        pattern = miner.observe(message)

        assert miner.match(message) == pattern
        assert miner.resolve(pattern) == pattern
    assert PatternMiner.load(json.loads(json.dumps(miner.dump()))).patterns() == miner.patterns()
