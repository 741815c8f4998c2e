"""What the demo says: the counts that are off, the report, the command to look further."""

from pathlib import Path

import pytest

from seawall.cli import common
from seawall.cli.demo import display, tables

RIGHT = {
    "loaded": 320_960, "distinct_loaded": 320_960, "quarantined": 15_816,
    "distinct_quarantined": 15_816, "never_departed": 8_255, "unknown_airport": 7_561,
    "both": 41, "in_both_places": 0,
}  # fmt: skip

REPORT = {
    "rows_read": 336_776, "rows_loaded": 320_960, "rows_quarantined": 15_816,
    "quarantined_by_reason": {'value "[/b]" is bad': 15_816}, "batches": 34, "retries": 7,
    "breaker_transitions": 5, "resumed_from": 140_000, "seconds": 8.0,
}  # fmt: skip


class Connection:
    def __init__(self, row):
        self.row = row

    async def fetchrow(self, *_):
        return self.row


async def test_check_right_counts_finds_nothing_wrong():
    assert await tables.check(Connection(RIGHT), 336_776) == []


@pytest.mark.parametrize("name", RIGHT)
async def test_check_each_count_that_is_off_is_the_one_named(name):
    (wrong,) = await tables.check(Connection({**RIGHT, name: 5}), 336_776)
    assert str(wrong).endswith(f": 5 instead of {RIGHT[name]:,}")


async def test_check_rows_unread_are_named():
    (wrong,) = await tables.check(Connection(RIGHT), 10)
    assert str(wrong) == "rows read: 10 instead of 336,776"


def test_show_prints_every_figure_and_takes_brackets_as_they_are(capsys):
    display.show(REPORT, "seawall status --folder '/a[/b]'")
    printed = capsys.readouterr().out
    for text in ("336,776", "320,960", "15,816", '"[/b]"', "34", "140,000", "42,097"):
        assert text in printed
    assert printed.splitlines()[-1] == "Look: seawall status --folder '/a[/b]'"


@pytest.mark.parametrize(
    ("dsn", "folder", "said"),
    [
        (None, None, "seawall status"),
        ("postgresql://u:s3cret@h/x", None, "seawall status (with the same --dsn)"),
        (None, Path("/a b"), "seawall status --folder '/a b'"),
    ],
)
def test_look_names_the_same_database_without_its_password(dsn, folder, said):
    assert common.same_database("seawall status", dsn, folder) == said


class Refused(Exception):
    sqlstate = "42501"


def test_run_error_of_the_database_is_one_line_and_exit_code_2(capsys):
    async def work():
        raise Refused("permission denied for database x")

    with pytest.raises(common.typer.Exit) as ended:
        common.run(work())
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err == (
        "seawall: the database refuses (SQLSTATE 42501): permission denied for database x: use a "
        "role that may do this\n"
    )


def test_run_error_of_a_defect_is_not_hidden():
    async def work():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        common.run(work())


def test_display_without_a_terminal_says_each_tenth_once(capsys):
    with display.Display(quiet=False) as shown:
        shown.hear({"event": "started", "resumed_from": 10, "read": 10})
        for read in (40_000, 50_000, 70_000):
            shown.hear({"event": "batch", "read": read, "quarantined": 1_000})
        shown.hear({"event": "retry", "what": "odd [/x]\nmore", "wait": 0.05})
    assert capsys.readouterr().err.splitlines() == [
        "worker resumes after flight 10",
        "40,000 of 336,776 flights, 1,000 set aside",
        "70,000 of 336,776 flights, 1,000 set aside",
        "retry in 0.05 s: odd [/x]",
    ]


def test_display_quiet_says_nothing(capsys):
    with display.Display(quiet=True) as shown:
        shown.hear({"event": "started", "resumed_from": 10, "read": 10})
        shown.hear({"event": "breaker", "service": "s", "frm": "closed", "to": "open"})
        shown.hear({"event": "fallback"})
    assert capsys.readouterr() == ("", "")
