"""What is taken for a value in a message, and what for a word."""

import pytest

from seawall.patterns.reading import VARIABLE, read_message, render, shortened
from seawall.patterns.rules import RULES


@pytest.mark.parametrize(
    ("message", "template", "values"),
    [
        ("job 4411 took 3.2s", "job <*> took <*>", ("4411", "3.2s")),
        ("took 17 ms", "took <*>", ("17 ms",)),
        ("took 17 seconds", "took <*> seconds", ("17",)),
        ("<1 sec left", "<*> left", ("<1 sec",)),
        ("at 0x7f3a and deadbeef", "at <*> and <*>", ("0x7f3a", "deadbeef")),
        ("ids 1, 2, 3 are gone", "ids <*> are gone", ("1,2,3",)),
        ("peer 10.0.0.1:5432 left", "peer <*> left", ("10.0.0.1:5432",)),
        ("no route to db.example.com", "no route to <*>", ("db.example.com",)),
        ("from 10.0.0.1 (a.example.com) at", "from <*> at", ("10.0.0.1 (a.example.com)",)),
        ("from 10.0.0.1 () at", "from <*> at", ("10.0.0.1 ()",)),
        ("cannot open /etc/app/conf.d/x", "cannot open <*>", ("/etc/app/conf.d/x",)),
        (r"file C:\Data\in.csv, flags", "file <*>, flags", (r"C:\Data\in.csv",)),
        ("GET https://a.b/c?d=e failed", "GET <*> failed", ("https://a.b/c?d=e",)),
        ("mail to ann.lee@x.org bounced", "mail to <*> bounced", ("ann.lee@x.org",)),
        ("at Wed Jul 06 10:45:50 PDT 2005 ok", "at <*> ok", ("Wed Jul 06 10:45:50 PDT 2005",)),
        ("on Sat, Jun 3 12:00:01 2023 UTC", "on <*> UTC", ("Sat, Jun 3 12:00:01 2023",)),
        ('column "price" is null', "column <*> is null", ('"price"',)),
        ("can't find 'x y' it's gone", "can't find <*> it's gone", ("'x y'",)),
        ("session for user ann from here", "session for user <*> from here", ("ann",)),
        ("user deleted by admin 3", "user deleted by admin <*>", ("3",)),
        ("card 5c:ab:15:4c:de:ff up", "card <*> up", ("5c:ab:15:4c:de:ff",)),
        ("from fe80::dead:beef%en0 at", "from <*> at", ("fe80::dead:beef%en0",)),
        ("status:bad:face", "status:bad:face", ()),
        ("check pass; user unknown", "check pass; user unknown", ()),
        ("ok= true, id=7", "ok= <*>, id=<*>", ("true", "7")),
        ("got Order{id=7, Item{name=x}} twice", "got <*> twice", ("Order{id=7, Item{name=x}}",)),
        ("got {'a': [1, 'x'], 'b': {}}", "got <*>", ("{'a': [1, 'x'], 'b': {}}",)),
        ("Failing row contains (7, Ann, null).", "Failing row contains <*>", ("(7, Ann, null).",)),
        ("policy (n=3, wait=4, on=none)", "policy (n=<*>, wait=<*>, on=<*>)", ("3", "4", "none")),
        ("in part (a, b) only", "in part (a, b) only", ()),
        ('"GET /v1/items HTTP/1.1" 200', '"GET <*>" <*>', ("/v1/items HTTP/1.1", "200")),
        ("boom NodeError('no way out of here')", "boom NodeError('no way out of here')", ()),
        ("boom KeyError('id')", "boom KeyError(<*>)", ("'id'",)),
        ("", "", ()),
        ("42", "<*>", ("42",)),
        ("Größe 3 überschritten", "Größe <*> überschritten", ("3",)),
    ],
)
def test_read_message_values_are_found_and_words_stay(message, template, values):
    reading = read_message(message)

    assert (render(reading.tokens, reading.spaced), reading.values) == (template, values)


def test_read_message_with_the_sign_of_a_variable_holds_no_variable():
    assert VARIABLE not in read_message("a <*> b").tokens


def test_shortened_message_has_a_bound_and_no_mark():
    assert shortened("a\0" * 5_000) == "a " * 2_048


def test_values_for_template_that_covers_the_message_are_in_its_order():
    reading = read_message("copy orders to 7")

    assert reading.values_for((VARIABLE, "orders", "to", VARIABLE)) == ["copy", "7"]
    assert reading.values_for(("copy", VARIABLE, "to", VARIABLE)) == ["orders", "7"]


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "a.",
        "a-",
        "a+",
        "/a",
        "/",
        "A{",
        "A{}",
        "{",
        "(a,",
        "a,",
        "[a,b,c]",
        "(,,",
        "'",
        '"',
        '"GET ',
        "`",
        "1",
        "1 ",
        "user ",
        "0x",
        "Mon ",
        "Jan 1 ",
        "a@",
        "a://",
        "\\\\",
        "C:\\",
        "f",
        "(",
        "1 (1) ",
        "= ",
        "Error('",
        "<",
        "a.b@",
        "é",
    ],
)
def test_read_message_hostile_repetition_costs_time_in_proportion(piece):
    """Anything quadratic would take seconds for these, and minutes for the doubled ones."""
    for tail in ("", "!", "1", "'", "}"):
        read_message(shortened(piece * 4_096) + tail)


def test_rules_every_one_finds_something():
    """A rule that no message needs would be dead weight."""
    messages = [
        "Mon Jan 3 12:00", "a1:bc:de:f0:11:22", "a@b.cd", "/a/b", "C:\\x", "db.internal", '"a"', "'a'", "`a`", '"GET /"', "A{}", "(1, 2, x)",
        "<a.B object at 0x1>", "user bob", "3 ms", "=true", "abcdefab", "1.2.3.4 ()",
    ]  # fmt: skip
    from seawall.patterns.rules import MARK, NUMBERS

    masked = [NUMBERS.sub(MARK, message) for message in messages]
    for needed, rule in RULES:
        assert any(needed in message and rule.search(message) for message in masked), rule.pattern
