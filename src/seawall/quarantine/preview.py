"""A record as one short line for a person."""

import reprlib
from itertools import islice
from typing import Any

_MORE = "…"


class _Short(reprlib.Repr):
    """repr() of the beginning: the cost is bounded whatever the record's size."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxtuple = self.maxlist = self.maxdict = self.maxset = self.maxfrozenset = 30
        self.maxstring = self.maxother = max(limit, 10)
        self.maxlong = 80

    def repr_bytes(self, value: bytes, _level: int) -> str:
        return repr(value[: self.maxstring])

    def repr_bytearray(self, value: bytearray, _level: int) -> str:
        return repr(value[: self.maxstring])

    def repr_int(self, value: int, level: int) -> str:
        # Past Python's limit of decimal digits only hexadecimal still works.
        return hex(value)[:80] if value.bit_length() > 1000 else super().repr_int(value, level)

    def repr_dict(self, value: dict[Any, Any], level: int) -> str:
        if level <= 0 and value:
            return "{...}"
        shown = [
            f"{self.repr1(key, level - 1)}: {self.repr1(each, level - 1)}"
            for key, each in islice(value.items(), self.maxdict)  # in the record's own order
        ]
        return "{" + ", ".join(shown + ["..."] * (len(value) > self.maxdict)) + "}"


def preview(record: object, limit: int = 200) -> str:
    """The start of the record's ``repr``, at most ``limit`` characters; never raises."""
    try:
        text = _Short(limit).repr(record)
    except Exception:
        # A value that can't be shown must not hide the reason why it was set aside.
        text = f"<{type(record).__name__} that can't be shown>"
    return text if len(text) <= limit else text[: max(0, limit - 1)] + _MORE
