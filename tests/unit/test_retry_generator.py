"""Retry on an async generator: it goes on where its reader is."""

import asyncio

import pytest

from seawall.errors import AttemptTimeoutError, InvalidConfigError
from seawall.retry import record_calls, retry


class Source:
    """Numbers from a place on; fails before each of ``fails``, once each (or for ever)."""

    def __init__(self, *fails, error=ConnectionError, forever=False, hangs=False):
        self.fails, self.error, self.forever = list(fails), error, forever
        self.starts, self.closed, self.hangs = [], 0, hangs

    async def read(self, first=0, *, after=None):
        self.starts.append(first if after is None else after)
        try:
            for n in range(first if after is None else after + 1, 6):
                if n in self.fails:
                    if not self.forever:
                        self.fails.remove(n)
                    if self.hangs:
                        await asyncio.sleep(1000)
                    raise self.error
                yield n
        finally:
            self.closed += 1


@pytest.fixture
def retried(clock):
    def make(source, **options):
        defaults = {"initial_delay": 1, "jitter_range": 0, "max_retries": 2, "clock": clock}
        return retry(**(defaults | options))(source.read)

    return make


async def test_generator_goes_on_behind_the_last_item(retried):
    source = Source(0, 2, 3, 5)
    assert [n async for n in retried(source, resume_from="after")()] == [0, 1, 2, 3, 4, 5]
    assert source.starts == [0, 0, 1, 2, 4]
    assert source.closed == 5


async def test_generator_given_its_place_by_position_or_keyword_resumes(retried):
    source = Source(3)
    assert [n async for n in retried(source, resume_from="first")(1)] == [1, 2, 2, 3, 4, 5]
    assert [n async for n in retried(Source(4), resume_from="after")(after=2)] == [3, 4, 5]


async def test_generator_without_a_place_restarts_only_before_its_first_item(retried):
    assert [n async for n in retried(Source(0))()] == [0, 1, 2, 3, 4, 5]
    got = []
    with pytest.raises(ConnectionError):
        async for n in retried(Source(2))():
            got.append(n)
    assert got == [0, 1]


async def test_generator_items_end_the_count_of_failures(retried):
    """Five failures in a row of six items, two retries each: none is used up."""
    source = Source(0, 1, 2, 3, 4)
    assert len([n async for n in retried(source, resume_from="after", max_retries=1)()]) == 6


async def test_generator_that_keeps_failing_gives_up_with_a_note(retried):
    source = Source(2, forever=True)
    with record_calls() as calls, pytest.raises(ConnectionError) as failed:
        async for _ in retried(source, resume_from="after")():
            pass
    assert "read gave up after 3 attempts" in failed.value.__notes__[0]
    assert calls[0].attempts == 3
    assert source.closed == 3


async def test_generator_failure_not_to_be_retried_leaves_at_once(retried):
    source = Source(2, error=PermissionError)
    with pytest.raises(PermissionError):
        async for _ in retried(source, resume_from="after")():
            pass
    assert len(source.starts) == 1


async def test_generator_what_its_reader_throws_in_is_not_retried(retried):
    source = Source()
    stream = retried(source, resume_from="after")()
    await anext(stream)
    with pytest.raises(ConnectionError):
        await stream.athrow(ConnectionError())
    assert (len(source.starts), source.closed) == (1, 1)


async def test_generator_left_early_closes_its_source(retried):
    source = Source()
    stream = retried(source, resume_from="after")()
    async for _ in stream:
        break
    await stream.aclose()
    assert source.closed == 1


async def test_generator_cancelled_in_its_wait_ends(retried):
    source = Source(0, forever=True)
    task = asyncio.ensure_future(anext(retried(source, initial_delay=100)()))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_generator_item_that_takes_too_long_is_tried_again(retried):
    source = Source(2, hangs=True)
    got = [n async for n in retried(source, resume_from="after", attempt_timeout=5)()]
    assert got == [0, 1, 2, 3, 4, 5]
    with pytest.raises(AttemptTimeoutError):
        async for _ in retried(Source(2, hangs=True, forever=True), attempt_timeout=5)():
            pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"deadline": 5}, "deadline=5: can't be used on the async generator"),
        ({"retry_if_result": bool}, "can't be used on the async generator"),
        ({"resume_from": "nothing"}, "must have a parameter of that name"),
    ],
)
def test_generator_option_that_makes_no_sense_is_refused(retried, options, message):
    with pytest.raises(InvalidConfigError, match=message):
        retried(Source(), **options)


def test_resume_from_on_a_plain_function_is_refused():
    async def fetch():
        return 1

    with pytest.raises(InvalidConfigError, match="is for async generators"):
        retry(resume_from="after")(fetch)
