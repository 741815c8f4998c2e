"""What varies in messages, whoever wrote them: numbers, names of things, times, places, quotations.

A value that was found is replaced by ``MARK``. Every expression takes time in proportion to the
text: where one may begin is narrowed by what stands before it, and repeats can't overlap.
"""

import re

MARK = "\0"
RULES_VERSION = 1  # of all that decides on a message's template; ids differ between versions

_EDGES = r"\s=,;:()\[\]{}\"'`|<>"
# Each word with a digit in it. One pass in C over every message; the rest is for new shapes.
NUMBERS = re.compile(rf"(?<![^{_EDGES}])[^{_EDGES}\d]*+\d[^{_EDGES}]*+")
PIECES = re.compile(r"([=:,;()\[\]{}\"'|<>])|\s+")

_DAYS = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTHS = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TOP_LEVEL = (
    r"(?:com|net|org|edu|gov|mil|int|io|info|biz|local|localdomain|internal|lan|arpa|[a-z]{2})"
)
_VERBS = r"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)"

# In this order: what is inside another value (a path in a URL) is looked for after it. Where there
# is a group, it is the value; what stands around it stays.
RULES = tuple(
    re.compile(rule)
    for rule in (
        # Dates in words; digits are marks by now.
        rf"\b{_DAYS}[a-z]*,? (?=\0|{_MONTHS})",
        rf"(?:\0 )?\b{_MONTHS}[a-z]* +\0(?: +\0)*(?: (?:UTC|GMT|[A-Z]{{1,3}}T)\b)?(?: +\0)*",
        # URLs, mail addresses, paths, host names.
        r"(?<![\w+.-])[A-Za-z][\w+.-]*+://[^\s'\")\]>]+",
        r"(?<![\w.+\0-])[\w.+\0-]++@[\w\0-]++(?:\.[\w\0-]++)+",
        r"(?<![\w.<>/\0-])~?(?:/[\w.@%+~$*\0-]++){2,}/?",
        r"(?<!\w)[A-Za-z]:\\[^\s'\"<>|]*|(?<!\w)\\\\[^\s'\"]+",
        rf"(?<![\w.@/-])(?:[\w-]++\.)+{_TOP_LEVEL}\b(?![.\w(])",
        # Quotations; of a request line the verb stays.
        rf"(?<!\w)\"(?!{_VERBS} )[^\"\n]{{0,200}}\"|(?<!\w)'[^'\n]{{0,200}}'|`[^`\n]{{1,200}}`",
        rf"(?<=\"){_VERBS} ([^\"\n]{{1,200}})",
        # Objects as they print themselves, the inner ones first.
        *(r"\b[A-Z]\w*+\{[^{}]*\}",) * 3,
        r"<\w[\w.]*+ object at \0>",
        # Names after the words that announce them.
        (
            r"\b(?i:user|username|user name|login|account|role) "
            r"(?!(?i:is|was|not|has|name|request|unknown)\b)([\w.$@\0-]+)"
            r"(?= (?:from|by|on|at|for|in)\b|$|[,:;)\]]| \[)"
        ),
        # A number and the short form of its unit; a unit in full is a word like others.
        r"[<>~]?\0 ?(?:[KMGTP]i?B|[KMG]B/s|[kMG]?Hz|[KMG]bps|ms|msecs?|us|ns|secs?|%)(?!\w)",
        r"(?<=[=:])\s?(true|false|null|nil|none|True|False|None|NULL)\b",
        r"\b[0-9a-f]{8,}\b",
        # "10.0.0.1 (db.example.com)": the parentheses say it once more; "()" says nothing.
        r"\0 \(\0?\)",
    )
)
