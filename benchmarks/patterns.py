"""How well and how fast are messages grouped? PatternMiner beside Drain3, on labelled logs.

The logs (five systems of loghub, 2,000 lines each) are read from SEAWALL_SHARED, by default
``../shared``; their licence keeps them out of the repository. All systems are mined with the same
settings. GA: the share of lines in a group that is exactly an event; FGA: the F1 over groups.
"""

import logging
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.loghub import FOLDER, SYSTEMS, accuracy, labelled

from seawall import PatternMiner

GENERIC_MASKS = (  # as Drain3's users write them
    (r"(?<![A-Za-z0-9])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?::\d+)?", "IP"),
    (r"(?<![A-Za-z0-9])0x[a-fA-F0-9]+", "HEX"),
    (r"(?<![A-Za-z0-9])[0-9a-f]{8}-[0-9a-f-]{27}", "UUID"),
    (r"(?<![A-Za-z0-9])[-+]?\d+(?![A-Za-z0-9])", "NUM"),
)
BEST_OF = 3


class Seawall:
    def __init__(self):
        self._miner = PatternMiner()
        self.add = self._miner.observe

    def groups(self, lines, _found):
        return [self._miner.match(line) for line in lines]


class Drain3:
    masks = ()

    def __init__(self):
        from drain3 import TemplateMiner
        from drain3.masking import MaskingInstruction
        from drain3.template_miner_config import TemplateMinerConfig

        logging.getLogger("drain3").setLevel(logging.ERROR)
        config = TemplateMinerConfig()
        config.masking_instructions = [MaskingInstruction(*mask) for mask in self.masks]
        self._miner = TemplateMiner(config=config)

    def add(self, line):
        return self._miner.add_log_message(line)["cluster_id"]

    def groups(self, _lines, found):
        return found


class Drain3Masked(Drain3):
    masks = GENERIC_MASKS


def measured(make, system):
    lines, events = labelled(system)
    best = float("inf")
    for _ in range(BEST_OF):
        miner = make()
        start = time.perf_counter()
        found = [miner.add(line) for line in lines]
        best = min(best, time.perf_counter() - start)
    return *accuracy(events, miner.groups(lines, found)), len(lines) / best


def main():
    if not FOLDER.is_dir():
        print(f"no labelled logs in {FOLDER}: set SEAWALL_SHARED")
        return
    print(f"{'GA / FGA / lines a second':28}" + "".join(f"{s:>24}" for s in (*SYSTEMS, "mean")))
    for make in (Seawall, Drain3, Drain3Masked):
        try:
            rows = [measured(make, system) for system in SYSTEMS]
        except ImportError as error:
            print(f"{make.__name__:28}not installed ({error})")
            continue
        mean = [statistics.mean(column) for column in zip(*rows, strict=True)]
        mean[2] = len(rows) / sum(1 / row[2] for row in rows)
        cells = (f"{ga:.3f} / {fga:.3f} / {speed:7,.0f}" for ga, fga, speed in (*rows, mean))
        print(f"{make.__name__:28}" + "".join(f"{cell:>24}" for cell in cells))


if __name__ == "__main__":
    main()
