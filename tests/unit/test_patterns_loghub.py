"""Labelled logs of five systems, all with the same settings (skipped where the logs are not)."""

import pytest

from seawall import PatternMiner
from support.loghub import FOLDER, SYSTEMS, accuracy, labelled

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no labelled logs in {FOLDER}")

LEAST = {  # GA, FGA: as measured, so that a change of the rules that costs shows
    "HDFS": (1.0, 1.0),
    "Hadoop": (0.98, 0.96),
    "HealthApp": (1.0, 1.0),
    "Linux": (0.99, 0.99),
    "OpenSSH": (0.99, 0.93),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_miner_labelled_logs_are_grouped_as_labelled(system):
    lines, events = labelled(system)
    miner = PatternMiner()
    for line in lines:
        miner.observe(line)
    grouping, groups = accuracy(events, [miner.match(line) for line in lines])

    assert grouping >= LEAST[system][0]
    assert groups >= LEAST[system][1]


@pytest.mark.parametrize("system", SYSTEMS)
def test_merge_labelled_logs_split_over_workers_gives_what_one_finds(system):
    lines, _ = labelled(system)
    whole, merged = PatternMiner(), PatternMiner()
    workers = [PatternMiner() for _ in range(4)]
    for n, line in enumerate(lines):
        whole.observe(line)
        workers[n % 4].observe(line)
    for worker in reversed(workers):
        merged.merge(worker)

    assert [merged.match(line) for line in lines] == [whole.match(line) for line in lines]
