"""Labelled logs for measuring; their licence keeps them out of the repository."""

import csv
import os
from collections import defaultdict
from pathlib import Path

SYSTEMS = ("HDFS", "Hadoop", "HealthApp", "Linux", "OpenSSH")
ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("SEAWALL_SHARED", ROOT.parent / "shared")) / "data" / "loghub"


def labelled(system):
    """The lines of one system, and the event that each belongs to."""
    with (FOLDER / f"{system}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["Content"] for row in rows], [row["EventId"] for row in rows]


def accuracy(events, found):
    """GA and FGA: the share of lines in a group that is an event exactly, and F1 over groups."""
    true, ours = _groups(events), _groups(found)
    right = true & ours
    lines = sum(map(len, right)) / len(events)
    return lines, 2 * len(right) / (len(true) + len(ours))


def _groups(labels):
    members = defaultdict(list)
    for index, label in enumerate(labels):
        members[label].append(index)
    return set(map(tuple, members.values()))
