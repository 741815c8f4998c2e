"""A journal file, whatever happened to its bytes: never a wrong row, never a crash."""

import math
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.journal.frame import Damage, Frame, frame, frames

values = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False),
    st.text(), st.binary(), st.uuids(),
    st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))])),
)  # fmt: skip
rows = st.lists(st.tuples(st.text(max_size=5), st.tuples(values, values)), min_size=1, max_size=3)


def file_of(groups, file_id):
    data = b""
    for group in groups:
        data += frame(group, file_id, len(data))
    return data


def read(data, file_id):
    return [found.rows for found in frames(data, file_id) if isinstance(found, Frame)]


@given(groups=st.lists(rows, max_size=4), file_id=st.uuids())
def test_journal_rows_come_back_equal_and_of_the_same_types(groups, file_id):
    found = read(file_of(groups, file_id), file_id)
    assert found == groups
    assert [[type(v) for _, row in g for v in row] for g in found] == [
        [type(v) for _, row in g for v in row] for g in groups
    ]


GROUPS = [
    [("error_details", (UUID(int=n), datetime(2026, 1, 1, tzinfo=UTC), "x" * n, n, None, 0.5))]
    for n in range(4)
]
FILE_ID = UUID(int=7)
DATA = file_of(GROUPS, FILE_ID)


def test_journal_cut_anywhere_gives_the_whole_frames_before():
    ends = [found.end for found in frames(DATA, FILE_ID)]
    for length in range(len(DATA)):
        found = read(DATA[:length], FILE_ID)
        assert found == GROUPS[: sum(end <= length for end in ends)]


def test_journal_flipped_anywhere_loses_its_own_frame_alone():
    starts = [0, *(found.end for found in frames(DATA, FILE_ID))]
    for place in range(len(DATA)):
        for bit in range(8):
            damaged = bytearray(DATA)
            damaged[place] ^= 1 << bit
            hit = sum(start <= place for start in starts) - 1
            found = list(frames(bytes(damaged), FILE_ID))
            good = [each.rows for each in found if isinstance(each, Frame)]
            assert good == [group for n, group in enumerate(GROUPS) if n != hit]
            lost = [each for each in found if isinstance(each, Damage)]
            assert sum(each.end - each.start for each in lost) == starts[hit + 1] - starts[hit]


@given(st.binary(max_size=200), st.uuids())
def test_journal_of_anything_is_read_without_an_error(data, file_id):
    assert read(data, file_id) == []


def test_journal_quoted_in_a_message_is_no_frame():
    """Bytes of a journal within a row, when the frame around them is damaged."""
    inner = frame(GROUPS[1], FILE_ID, 0)
    data = bytearray(frame([("t", (inner,))], FILE_ID, 0))
    data[6] ^= 1
    assert read(bytes(data), FILE_ID) == []


def test_journal_refuses_what_rows_do_not_hold():
    with pytest.raises(TypeError, match="set: a row"):
        frame([("t", ({1},))], uuid4(), 0)
    assert math.isnan(read(frame([("t", (math.nan,))], FILE_ID, 0), FILE_ID)[0][0][1][0])
