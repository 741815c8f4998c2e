"""Months of runs in virtual time: false alerts of healthy pipelines, and how soon outages page."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from budget_simulation import healthy_months, outages

# Runs an hour, and minutes within which half of the outages must have paged.
VOLUMES = {2: 480, 10: 120, 60: 30}


@pytest.mark.parametrize("runs_per_hour", VOLUMES)
def test_healthy_pipeline_is_alerted_on_less_than_every_other_month(runs_per_hour):
    pages, tickets = healthy_months(runs_per_hour, months=6, seed=5)
    print(f"{runs_per_hour} runs/h: {pages} pages and {tickets} tickets a month")
    assert pages + tickets <= 0.5


@pytest.mark.parametrize(("runs_per_hour", "minutes"), VOLUMES.items())
def test_outage_of_thirty_percent_pages_in_time_and_once(runs_per_hour, minutes):
    figures = outages(runs_per_hour, count=15, seed=5, days_around=1)
    print(f"{runs_per_hour} runs/h: {figures}")
    assert figures.median <= minutes
    assert figures.pages <= 1.1
    assert figures.reset <= 900
    assert figures.false_after <= 0.1
