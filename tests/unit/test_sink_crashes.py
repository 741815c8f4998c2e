"""Every point of a file sink's life at which a process can die: each record is there once after."""

import pytest

from seawall.sink import FileSink, committed_files
from support.sinks import Died, DyingDisk, Ledger, hidden, numbers_in

TOTAL, BATCH = 23, 4

pytestmark = pytest.mark.real_time


async def work(ledger, folder, disk, **options):
    """A worker's life: resume, write the rest of the source, finish."""
    sink = FileSink(folder, _disk=disk, **options)
    step = ledger.open(disk)
    while step.position < TOTAL:
        end = min(step.position + BATCH, TOTAL)
        async with step.transaction(end) as tx:
            await sink.write(tx, range(step.position, end))
    await sink.finish(step)
    await sink.aclose()


RULES = {
    "small": {"max_records": 3},
    "several a batch": {"max_records": 1},
    "large": {"max_bytes": 20},
    "one file": {},
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("power", [False, True], ids=["process dies", "power is cut"])
@pytest.mark.parametrize("rules", RULES)
async def test_file_sink_death_at_any_point_leaves_each_record_once(tmp_path, rules, power):
    """Twice at a time: a second death falls into the recovery from the first."""
    options = RULES[rules]
    whole = DyingDisk()
    (tmp_path / "whole").mkdir()
    await work(Ledger(), tmp_path / "whole", whole, **options)
    assert whole.points > 30
    for first in range(1, whole.points + 1):
        for second in (3, 7, 11, None) if first % 3 else (1, 2, 5, 9, 14, None):
            folder, trash = tmp_path / f"{first}-{second}", tmp_path / f"trash-{first}-{second}"
            folder.mkdir()
            trash.mkdir()
            ledger = Ledger()
            for die_at in (first, second, None):
                disk = DyingDisk(die_at, trash)
                try:
                    await work(ledger, folder, disk, **options)
                except Died:
                    if power:
                        disk.power_cut()
                else:
                    break
            files = committed_files(folder)
            assert numbers_in(files) == list(range(TOTAL)), f"died at {first}, then at {second}"
            assert hidden(folder) == []
            assert [path.name for path in files] == [
                f"part-{n:06d}.jsonl" for n in range(1, len(files) + 1)
            ]


async def test_file_sink_readers_see_only_committed_records_at_every_point(tmp_path):
    """What is finished at the moment of a death is a prefix of what is committed."""
    whole = DyingDisk()
    (tmp_path / "whole").mkdir()
    await work(Ledger(), tmp_path / "whole", whole, max_records=3)
    for die_at in range(1, whole.points + 1):
        folder, ledger = tmp_path / str(die_at), Ledger()
        folder.mkdir()
        with pytest.raises(Died):
            await work(ledger, folder, DyingDisk(die_at), max_records=3)
        seen = numbers_in(committed_files(folder))
        assert seen == list(range(len(seen)))
        assert len(seen) <= ledger.position


def test_dying_disk_loses_what_was_not_synced(tmp_path):
    """The model itself: a power cut takes unsynced bytes and names, and no others."""
    disk = DyingDisk()
    kept = disk.create(tmp_path / "kept")
    disk.write(kept, b"abc", 0)
    disk.sync(kept)
    disk.sync_folder(tmp_path)
    disk.write(kept, b"def", 3)
    disk.close(disk.create(tmp_path / "lost"))
    disk.close(kept)
    disk.power_cut()
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_bytes() == b"abc"
