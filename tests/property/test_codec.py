"""Q1: what goes into the quarantine comes back equal and of the same types."""

import enum
import inspect
import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seawall.errors import CodecError, InvalidConfigError
from seawall.quarantine import codec
from seawall.quarantine.codec import decode, encode, preview, register
from support.records import RECORDS, WRAPS, Color, Flight, Point, nested, same


@dataclass
class Unregistered:
    a: object


class Unknown:
    pass


@settings(deadline=None, max_examples=400)
@given(RECORDS)
@example({"$tuple": [1]})
@example({"$format": 2})
@example({"a\x00": "\x00", "\ud800": ["\udfff\ud83d\ude00"]})
@example(({"a": {1: (None, {2.5})}}, [()], {}))
@example((2**63, -(2**63) - 1, 2**64, -0.0, float("nan"), float("-inf")))
@example(-float("nan"))
@example("\\u0000 as text")
def test_record_encoded_and_decoded_comes_back_the_same(record):
    """Values, types, order of keys, zones and signs all survive."""
    assert same(decode(encode(record)), record)


@settings(deadline=None, max_examples=300)
@given(RECORDS)
@example("\\u0000 as text")
def test_encoded_text_fits_json_and_jsonb(record):
    """The text is JSON, in UTF-8, with neither a NUL nor a lone surrogate once it is parsed."""
    text = encode(record)
    text.encode("utf-8")
    for each in every_text(json.loads(text, parse_constant=pytest.fail)):
        assert "\x00" not in each
        each.encode("utf-8")


def every_text(node):
    if isinstance(node, str):
        yield node
    elif isinstance(node, list):
        for each in node:
            yield from every_text(each)
    elif isinstance(node, dict):
        for key, each in node.items():
            yield key
            yield from every_text(each)


@settings(deadline=None, max_examples=300)
@given(RECORDS, st.integers(1, 300))
def test_preview_of_any_record_is_short_and_printable_text(record, limit):
    """A preview never raises, keeps its limit and can be written anywhere."""
    text = preview(record, limit)
    assert len(text) <= limit
    assert "\x00" not in text
    text.encode("utf-8")


@settings(deadline=None, max_examples=300)
@given(
    st.recursive(
        st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["$tuple", "$set", "$dict", "$object", "$enum", "$uuid", "$datetime", "$time"]
                    + ["$int", "$bytes", "$decimal", "$timedelta", "$str", "$date", "$new", "a"]
                ),
                inner,
                max_size=2,
            )
        ),
        max_leaves=6,
    )
)
def test_decode_of_foreign_json_gives_a_value_or_codec_error(tree):
    """A text that was altered by hand harms nobody."""
    try:
        decode(json.dumps(tree))
    except CodecError:
        pass


def test_plain_dict_is_stored_as_plain_json():
    """SQL can look into a record of plain values."""
    assert json.loads(encode({"id": 7, "name": "x"})) == {"id": 7, "name": "x"}


def test_unregistered_dataclass_comes_back_as_dict_that_names_its_type():
    name = f"{__name__}.Unregistered"
    assert decode(encode([Unregistered(a=(1,))])) == [{"__type__": name, "a": (1,)}]


def test_dataclass_registered_after_storing_comes_back_as_its_class():
    @dataclass
    class Late:
        a: int

    text = encode(Late(3))
    register(Late)
    assert decode(text) == Late(3)


def test_dataclass_comes_back_without_running_its_init():
    """What was stored is put back, not computed again."""

    @register
    @dataclass
    class Doubling:
        a: int
        made: list = field(default_factory=list, init=False)

        def __post_init__(self):
            self.a *= 2

    record = Doubling(1)
    record.made.append(5)
    assert decode(encode(record)) == record
    assert record.a == 2


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    n: int
    tags: list[str] = []

    def __post_init__(self):
        msgspec.structs.force_setattr(self, "tags", [*self.tags, "new"])


def test_struct_comes_back_as_a_dict_and_registered_as_it_was():
    """JsonLinesSource(type=…) gives such records, and any of them may have to be set aside."""
    parcel = Parcel(n=1, tags=["a"])
    stored = encode({"in": (parcel,)})
    assert decode(stored) == {
        "in": ({"__type__": f"{__name__}.Parcel", "n": 1, "tags": ["a", "new"]},)
    }
    register(Parcel)
    assert decode(stored) == {"in": (parcel,)}
    with pytest.raises(CodecError, match="now needs n"):
        decode(stored.replace('"n":1,', ""))
    with pytest.raises(CodecError, match="no longer has m"):
        decode(stored.replace('"n":1,', '"n":1,"m":1,'))


def test_dataclass_with_a_new_default_takes_it():
    @dataclass
    class Old:
        a: int

    @dataclass
    class New:
        a: int
        b: int = 9

    register(Old, "order")
    text = encode(Old(1))
    codec_names(New, "order")
    assert decode(text) == New(1, 9)


@pytest.mark.parametrize("fields", [[("b", int)], [("a", int), ("c", int)]])
def test_dataclass_that_no_longer_fits_is_codec_error(fields):
    import dataclasses

    codec_names(dataclasses.make_dataclass("V1", ["a"]), "changing")
    text = encode(v1_instance("changing"))
    codec_names(dataclasses.make_dataclass("V2", fields), "changing")
    with pytest.raises(CodecError, match="changing"):
        decode(text)


def codec_names(cls, name):
    """Put ``cls`` in the place of whatever stands under ``name``, as a later release would."""
    from seawall.quarantine import registry

    registry._BY_NAME.pop(name, None)
    return register(cls, name)


def v1_instance(name):
    from seawall.quarantine import registry

    return registry._BY_NAME[name](a=1)


def test_nothing_is_imported_by_a_stored_name():
    text = '{"$object":["antigravity.Thing",{"x":1}]}'
    assert decode(text) == {"__type__": "antigravity.Thing", "x": 1}
    import sys

    assert "antigravity" not in sys.modules


class Sub(dict):
    pass


class IntSub(int):
    pass


class OddZone(tzinfo):
    def utcoffset(self, moment):
        return timedelta(0)


class Pale(enum.Enum):
    X = 1


@pytest.mark.parametrize(
    ("record", "path", "kind", "advice"),
    [
        ({"a": [0, 0, 0, Unknown()]}, r"record\['a'\]\[3\]", "Unknown", "plain values"),
        ((1, Sub()), r"record\[1\]", "Sub", r"dict\(\)"),
        ([IntSub(3)], r"record\[0\]", "IntSub", r"int\(\)"),
        (Unknown(), "record is", "Unknown", "plain values"),
        ({(1, 2): {Unknown()}}, r"record\[\(1, 2\)\]\[0\]", "Unknown", "plain values"),
        ([Point(1, Unknown())], r"record\[0\]\.y", "Unknown", "plain values"),
        ([Pale.X], r"record\[0\]", "Pale", r"register\(\)"),
        ([datetime(2020, 1, 1, tzinfo=OddZone())], r"record\[0\]", "datetime", "zoneinfo"),
        ([open], r"record\[0\]", "builtin", "plain values"),
    ],
)
def test_value_that_cannot_come_back_is_refused_with_path_type_and_advice(
    record, path, kind, advice
):
    with pytest.raises(CodecError, match=f"{path}.*{kind}.*{advice}"):
        encode(record)


def test_key_that_only_equals_a_plain_one_is_refused_too():
    """Records with the same keys are known by them, and a subclass's are equal."""
    assert decode(encode({"a": 1})) == {"a": 1}
    key = type("Key", (str,), {})("a")
    with pytest.raises(CodecError, match=r"Key.*str\(\)"):
        encode({key: 1})


def test_numpy_like_scalar_is_refused_with_its_own_advice():
    numpy_like = type("float64", (float,), {"tolist": lambda self: 1.0, "__module__": "numpy"})
    with pytest.raises(CodecError, match=r"numpy\.float64: convert it with \.tolist"):
        encode([numpy_like(1.0)])


def test_record_that_contains_itself_is_refused():
    record = {"a": []}
    record["a"].append(record)
    with pytest.raises(CodecError, match=r"record\['a'\]\[0\].*contains itself"):
        encode(record)


def test_same_object_twice_is_no_cycle():
    shared = [1]
    assert decode(encode([shared, shared])) == [[1], [1]]


def peeled(record):
    """The chain's containers from the outside in, without recursion: one's parts, then the next's."""
    while True:
        yield type(record)
        if isinstance(record, Point):
            record = record.x
        elif isinstance(record, dict):
            record = record.get("in", record.get(1))
        elif isinstance(record, list | tuple | frozenset):
            (record,) = record
        else:
            return


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
@pytest.mark.parametrize("depth", [codec._DEEPEST - 1, codec._DEEPEST, codec._DEEPEST + 1, 5000])
def test_record_nested_deep_comes_back(wrap, depth):
    """Neither Python's stack nor the JSON reader's nor PostgreSQL's bounds the depth."""
    record = nested(depth, wrap)
    assert list(peeled(decode(encode(record)))) == list(peeled(record))


def test_record_nested_deep_is_stored_flat():
    """No reader of the text meets more than a few hundred levels."""
    text = encode(nested(20_000, WRAPS["odd key"]))
    depth = deepest = 0
    for char in text:
        depth += (char in "[{") - (char in "]}")
        deepest = max(deepest, depth)
    assert deepest < 500


@settings(deadline=None, max_examples=200)
@given(RECORDS, st.lists(st.sampled_from(list(WRAPS)), max_size=30), st.integers(1, 9))
def test_record_cut_into_parts_anywhere_comes_back_the_same(record, wraps, deepest):
    for name in wraps:
        if name != "frozenset":
            record = WRAPS[name](record)
    text = json.dumps(codec._in_parts(record, deepest))
    assert same(decode(text), record)


def test_record_that_contains_itself_far_below_is_refused():
    inner = []
    record = nested(700, WRAPS["list"], inner)
    inner.append(record)
    with pytest.raises(CodecError, match="contains itself"):
        encode(record)


def test_record_written_out_near_the_end_of_the_stack_comes_back():
    def from_below(left):
        return encode(record) if left == 0 else from_below(left - 1)

    record = nested(90, WRAPS["list"])
    used = len(inspect.stack(0))
    assert decode(from_below(sys.getrecursionlimit() - used - 100)) == record


def test_error_far_below_shows_the_way_to_it():
    with pytest.raises(CodecError, match=r"record\[0\]\[0\].*… is a .*Unknown"):
        encode(nested(300, WRAPS["list"], Unknown()))


@pytest.mark.parametrize(
    "parts", ["[]", '[{"$part":1}]', '[{"$part":0}]', '[{"$part":-1}]', '[{"$part":"x"}]', "5"]
)
def test_parts_that_encode_did_not_write_are_codec_error(parts):
    with pytest.raises(CodecError):
        decode(f'{{"$format":2,"parts":{parts}}}')


def test_record_that_grows_without_end_when_written_out_is_refused(monkeypatch):
    monkeypatch.setattr(codec, "_MOST_CONTAINERS", 1000)
    record = []
    for _ in range(40):
        record = [record, record]
    with pytest.raises(CodecError, match="more than 1,000 containers"):
        encode(record)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"$uuid":"x"}',
        '{"$uuid":5}',
        '{"$format":2,"x":1}',
        '{"a":1,"$tuple":[]}',
        "[" * 5000,
    ]
    + ['{"$set":[[]]}', '{"$datetime":["x"]}', '{"$enum":["nobody.Knows","A"]}', '{"$bytes":"!"}']
    + [
        f'{{"$enum":["{Color.__module__}.Color","GONE"]}}',
        '{"$datetime":["2020-01-01","No/Zone",0]}',
    ],
)
def test_text_that_encode_did_not_write_is_codec_error(text):
    with pytest.raises(CodecError):
        decode(text)


@pytest.mark.parametrize("cls", [Unknown, int, tuple])
def test_register_of_a_class_without_fields_is_refused(cls):
    with pytest.raises(InvalidConfigError, match="dataclass"):
        register(cls)


def test_register_of_a_name_taken_by_another_class_is_refused():
    register(Point, "taken")
    with pytest.raises(InvalidConfigError, match="taken"):
        register(Flight, "taken")
    register(Point)


def test_preview_of_a_record_whose_repr_raises_says_so():
    class Bad:
        def __repr__(self):
            raise RuntimeError

    assert "Bad" in preview([Bad()])


def test_preview_of_a_dict_keeps_the_order_of_its_keys():
    assert preview({"b": 1, "a": 2}) == "{'b': 1, 'a': 2}"


def test_date_time_and_uuid_at_the_top_level_come_back():
    for record in (date(1, 1, 1), time(23, 59, tzinfo=UTC), UUID(int=0), timedelta.min, b"\xff"):
        assert decode(encode(record)) == record
