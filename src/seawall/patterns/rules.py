"""What varies in messages, whoever wrote them: numbers, names of things, times, places, quotations.

A value that was found is replaced by ``MARK``. Every expression takes time in proportion to the
text: where one may begin is narrowed by what stands before it, and repeats can't overlap.
"""

import re

MARK = "\0"
RULES_VERSION = 1  # of all that decides on a message's template; ids differ between versions

_EDGES = r"\s=,;:()\[\]{}\"'`|<>"
# Each word with a digit in it, and each URL. One pass in C over every message; the rest is for new
# shapes.
NUMBERS = re.compile(
    rf"(?<![^{_EDGES}])[^{_EDGES}\d]*+(?:\d[^{_EDGES}]*+|(?<=[A-Za-z])://[^\s'\")\]>]+)"
)
PIECES = re.compile(r"([=:,;()\[\]{}\"'|<>]|\s+)")

_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? "
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_ZONE = r" [A-Z]{2,3}T?\b"
_TOP_LEVEL = (
    r"(?:com|net|org|edu|gov|mil|int|io|info|biz|local|localdomain|internal|lan|arpa|[a-z]{2})"
)
_VERBS = r"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)"
# Before a quotation: not an exception that prints its message, unless that is a word or two.
_NAMED = r"(?<!\w)(?:(?<!Error\()(?<!Exception\()|(?=['\"][^\s'\"]*+ ?[^\s'\"]*+['\"]))"
# A user's name, where it is one: not "user deleted by", "user input in".
_NO_NAME = r"(?:is|was|not|has|can|name|id|input|data|code|error|agent|request|unknown|\w+ed)"
_USER = rf"\b[Uu]ser(?:name| name)? (?!{_NO_NAME}\b)([\w.$@\0-]+)"
_OBJECT = r"(?:\b[A-Z]\w*+)?\{[^{}]*\}"
_ROW = r"[(\[](?:[^()\[\]=,]*+,){2,}[^()\[\]=,]*+[)\]]"

# In this order: what is inside another value (a host in an address) is looked for after it. With
# what a text must hold for the rule to be worth its time. Where there is a group, it is the value.
RULES = tuple(
    (needed, re.compile(rule))
    for needed, rule in (
        # Dates in words; digits are marks by now.
        (
            MARK,
            rf"\b(?:{_DAY}(?=\0)|(?:{_DAY})?{_MONTH} +\0(?:[ :.,]+\0)*(?:{_ZONE}(?= +\0))?)",
        ),
        # Addresses of network cards and of IPv6, in which some of the numbers have letters only.
        (
            ":",
            r"(?<![\w:])(?=[a-fA-F:]*\0)(?:(?:\0|[a-fA-F]{1,4})?:){2,15}(?:\0|[a-fA-F]{1,4})?(?![\w:])",
        ),
        # Mail addresses, paths, host names.
        ("@", r"(?<![\w.+\0-])[\w.+\0-]++@[\w\0-]++(?:\.[\w\0-]++)+"),
        ("/", r"(?<![\w.<>/\0-])~?(?:/[\w.@%+~$*\0-]++){2,}/?"),
        ("\\", r"(?<!\w)[A-Za-z]:\\[^\s'\"<>|,;)]*|(?<!\w)\\\\[^\s'\",;)]+"),
        (".", rf"(?<![\w.@/-])(?:[\w-]++\.)+{_TOP_LEVEL}\b(?![.\w(])"),
        # Quotations; of a request line the verb stays.
        ('"', rf"{_NAMED}\"(?!{_VERBS} )[^\"\n]{{0,200}}\""),
        ("'", rf"{_NAMED}'[^'\n]{{0,200}}'"),
        ("`", r"`[^`'\n]{1,200}[`']"),
        ('"', rf"(?<=\"){_VERBS} ([^\"\n]{{1,200}})"),
        # Objects, dicts and rows of data as they print themselves, the inner ones first.
        ("{", _OBJECT),
        ("{", _OBJECT),
        ("{", _OBJECT),
        (",", _ROW),
        (" object at ", r"<\w[\w.]*+ object at \0>"),
        # Names of users after that word.
        (" ", rf"{_USER}(?= (?:from|by|on|at|for|in)\b|$|[,:;)\]]| \[)"),
        # A number and the short form of its unit; a unit in full is a word like others.
        (
            MARK,
            r"[<>~]?\0 ?(?:[KMGTP]i?B|[KMG]B/s|[kMG]?Hz|[KMG]bps|ms|msecs?|us|ns|secs?|%)(?![\w-])",
        ),
        ("", r"[=:]\s*+(true|false|null|nil|none|True|False|None|NULL)\b"),
        ("", r"\b[a-f]{8,}\b"),  # hexadecimal, by chance without a digit
        # "10.0.0.1 (db.example.com)": the parentheses say it once more; "()" says nothing.
        (" (", r"\0 \(\0?\)"),
    )
)
