"""The pure rules: the watermark, suspicion, tolerance, sizes, options; and who is alive."""

import os
import subprocess
import sys

import pytest

from seawall import InvalidConfigError, TooManyBadRecordsError, process
from seawall.checkpoint import CheckpointStrategy, StepKey, StepOptions, Tolerance, suspicion
from seawall.checkpoint.model import Span, Suspicion
from seawall.checkpoint.strategy import BatchSize
from seawall.checkpoint.tolerance import matches
from seawall.checkpoint.watermark import Watermark

# -- watermark -----------------------------------------------------------------------------------


def test_watermark_moves_over_what_is_done_from_the_left():
    mark = Watermark(None)
    first, second, third = (mark.issue(n, n + 1) for n in (1, 3, 5))
    mark.complete(second)
    assert mark.position is None
    assert mark.state() == (None, (Span(first=3, last=4, done=True),))
    assert mark.state(done=first) == (4, ())
    mark.complete(first)
    assert (mark.position, mark.pending) == (4, 1)
    mark.complete(third)
    assert (mark.position, mark.pending) == (6, 0)


def test_watermark_keeps_what_an_earlier_process_saved_until_the_source_comes_there():
    spans = (Span(first=5, last=6, done=True), Span(first=9, last=9, done=False))
    mark = Watermark(2, spans)
    batch = mark.issue(3, 4)
    assert mark.state(done=batch) == (4, spans)
    mark.complete(batch)
    mark.pass_by()
    assert mark.position == 6
    again = mark.issue(9, 9)
    assert again.announced
    assert mark.state() == (6, (Span(first=9, last=9, done=False),))


# -- suspicion -----------------------------------------------------------------------------------


class Crashing:
    """A step's row, and workers that die at one record; how many starts until all is loaded."""

    def __init__(self, total, poison):
        self.total, self.poison = total, poison
        self.position, self.silent, self.suspicion = 0, 0, None
        self.set_aside, self.starts = [], 0

    def start(self, size):
        """Whether it came to the end."""
        self.starts += 1
        plan = suspicion.plan(self.silent + 1, self.suspicion, size)
        self.silent, self.suspicion = plan.silent_starts, plan.suspicion
        aside = plan.set_aside
        while self.position < self.total:
            limit = size if self.suspicion is None else min(size, self.suspicion.size)
            rows = 1 if aside else min(limit, self.total - self.position)
            if aside:
                self.set_aside.append(self.position + 1)
            else:
                if self.suspicion is not None and limit == 1:
                    self.suspicion = Suspicion(
                        size=1, rows=self.suspicion.rows, deaths=self.suspicion.deaths + 1
                    )
                if self.position < self.poison <= self.position + rows:
                    return False
            aside = False
            self.position += rows
            self.silent = 0
            self.suspicion = suspicion.after(self.suspicion, rows)
        return True


@pytest.mark.parametrize("size", [1, 2, 9, 10, 11, 100, 1000])
@pytest.mark.parametrize("poison", [1, 2, 700, 1000, 1001, 2500])
def test_suspicion_one_record_that_kills_ends_with_it_alone_set_aside(size, poison):
    job = Crashing(2500, poison)
    while not job.start(size):
        assert job.starts < 20
    assert job.set_aside == [poison]


def test_suspicion_is_over_behind_the_batch_that_began_it():
    assert suspicion.after(Suspicion(size=10, rows=25), 10) == Suspicion(size=10, rows=15)
    assert suspicion.after(Suspicion(size=10, rows=10), 10) is None
    assert suspicion.after(None, 10) is None


def test_suspicion_forgets_deaths_behind_the_record():
    assert suspicion.after(Suspicion(size=1, rows=5, deaths=2), 1).deaths == 0


def test_suspicion_two_silent_starts_are_nothing_yet():
    assert suspicion.plan(2, None, 1000).suspicion is None
    assert suspicion.plan(3, None, 1000).suspicion == Suspicion(size=100, rows=1000)


# -- tolerance -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "bad", "read", "borne"),
    [
        (Tolerance(0.1), 10, 100, True),
        (Tolerance(0.1), 11, 100, False),
        (Tolerance(0.0, allowance=5), 5, 10, True),
        (Tolerance(0.0, allowance=5), 6, 10, False),
        (Tolerance(1.0, count=3), 3, 3, True),
        (Tolerance(1.0, count=3), 4, 1000, False),
        (Tolerance(0.0), 1, 1_000_000, False),
        (Tolerance(), 7, 7, True),
    ],
)
def test_tolerance_share_allowance_and_count(given, bad, read, borne):
    if borne:
        given.check(bad, read, "why")
    else:
        with pytest.raises(TooManyBadRecordsError, match="such as: why") as caught:
            given.check(bad, read, "why")
        assert (caught.value.bad_count, caught.value.read_count) == (bad, read)


def test_tolerance_reasons_by_code_constraint_or_text():
    assert matches("23505", "duplicate key", "23505", None)
    assert matches("numbers_pkey", "duplicate key", "23505", "numbers_pkey")
    assert matches("ValueError", "ValueError: no", None, None)
    assert not matches("no", "ValueError: no", None, None)
    assert not matches("2350", "duplicate key", "23505", "numbers_pkey")


@pytest.mark.parametrize(
    "given",
    [
        {"share": 1.1},
        {"share": -0.1},
        {"allowance": -1},
        {"count": -1},
        {"reasons": {"": 1}},
        {"reasons": {"x": -1}},
    ],
)
def test_tolerance_out_of_range_is_refused(given):
    with pytest.raises(InvalidConfigError, match="toler"):
        Tolerance(**given)


# -- sizes and options ---------------------------------------------------------------------------


def test_size_follows_the_time_and_stays_in_its_bounds():
    size = BatchSize(CheckpointStrategy.adaptive(1.0, smallest=10, largest=1000, rows=100), 5)
    for _ in range(50):
        size.learn(size.now, size.now / 400)
    assert size.now == pytest.approx(400, rel=0.02)
    for _ in range(50):
        size.learn(size.now, 0.0)
    assert size.now == 1000
    for _ in range(50):
        size.learn(size.now, 1e9)
    assert size.now == 10


def test_size_learns_nothing_from_a_batch_that_was_cut_short():
    size = BatchSize(CheckpointStrategy.adaptive(1.0, rows=1000), 5)
    size.learn(3, 0.001)
    assert size.now == 1000


def test_size_under_suspicion_is_the_smaller():
    size = BatchSize(CheckpointStrategy.adaptive(1.0, rows=1000), 5)
    size.limit = 7
    size.learn(7, 0.001)
    assert size.now == 7
    size.limit = None
    assert size.now == 1000


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"size": 0}, "size"),
        ({"interval": 0.0}, "interval"),
        ({"lease_seconds": 0.5}, "lease_seconds"),
        ({"grace_seconds": -1.0}, "grace_seconds"),
        ({"stuck_seconds": 0.0}, "stuck_seconds"),
        ({"state_version": 0}, "state_version"),
        ({"wait_seconds": -1.0}, "wait_seconds"),
        ({"total": -1}, "total"),
        ({"when_held": "grab"}, "when_held='grab': must be one of 'wait', 'fail', 'take'"),
    ],
)
def test_options_out_of_range_are_refused(options, name):
    with pytest.raises(InvalidConfigError, match=name):
        StepOptions(**options)


@pytest.mark.parametrize(
    "given",
    [
        {"rows": 0},
        {"seconds": 0},
        {"smallest": 10, "largest": 9},
        {"predicate": 3},
        {"whole": True, "rows": 5},
    ],
)
def test_strategy_out_of_range_is_refused(given):
    with pytest.raises(InvalidConfigError):
        CheckpointStrategy(**given)


def test_batch_id_is_the_same_for_the_same_batch_and_no_other():
    ids = {
        StepKey(run, step, partition).batch_id(position)
        for run in ("r", "r2")
        for step in ("a", "b")
        for partition in (0, 1)
        for position in (1, "1", [1], None)
    }
    assert len(ids) == 32
    assert StepKey("r", "a").batch_id(1) == StepKey("r", "a").batch_id(1)


# -- who is alive --------------------------------------------------------------------------------


def test_process_that_lives_is_not_dead():
    assert not process.is_dead(process.identity())


def test_process_that_ended_is_dead():
    code = "from seawall import process; print(process.identity())"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    ).stdout.strip()
    assert other.split("|")[0] == process.machine()
    assert process.is_dead(other)


def test_process_whose_pid_was_given_to_another_is_dead():
    machine, pid, started = process.identity().rsplit("|", 2)
    assert process.is_dead(f"{machine}|{pid}|{float(started) - 100}")


@pytest.mark.parametrize("other", [None, "", "nonsense", "a|b|c", "elsewhere|1|1.0"])
def test_process_of_which_nothing_is_known_is_not_dead(other):
    assert not process.is_dead(other)


def test_process_that_proc_hides_is_not_dead(monkeypatch):
    """/proc may hide the processes of other users; they live all the same."""

    def hidden(pid):
        raise process.psutil.NoSuchProcess(pid)

    identity = process.identity()
    monkeypatch.setattr(process.psutil, "Process", hidden)
    assert not process.is_dead(identity)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_process_after_a_fork_is_another_one():
    mine = process.identity()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, process.identity().encode())
        os._exit(0)
    os.close(writing)
    other = os.read(reading, 1000).decode()
    os.close(reading)
    assert other != mine
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert process.is_dead(other)  # ended, and nobody has waited for it
    os.waitpid(child, 0)
    assert process.is_dead(other)
