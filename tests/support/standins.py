"""Stand-ins for recorded exceptions: the same names, bases, message and attributes, no library."""

import builtins
import json
import os
from pathlib import Path

OWN = Path(__file__).parents[1] / "data" / "exceptions.jsonl"
SHARED = Path(os.environ.get("SEAWALL_SHARED", Path(__file__).parents[3] / "shared"))


def load(path):
    """The records of a file, one JSON object a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def build(record):
    """The exception that a record of ``tests/data/exceptions.jsonl`` describes."""
    given = record["attrs"]
    cls = _class(tuple(record["mro"]))
    group = issubclass(cls, BaseExceptionGroup)
    exc = cls.__new__(cls, record["msg"], [ValueError("x")]) if group else cls.__new__(cls)
    exc.args = ((given["args0"],) if "args0" in given else ()) + (record["msg"],)
    exc.__dict__["_message"] = record["msg"]
    for name, value in given.items():
        if name == "reason0":
            exc.errors = [{"reason": value}]
        elif name == "http_status":
            exc.response = type("Response", (), {"status_code": value})()
        elif name != "args0":
            setattr(exc, name, value)
    return exc


_classes = {}


def _class(names):
    """The class of these names; built-in ones are the real ones."""
    module, _, name = names[0].rpartition(".")
    if module == "builtins":
        return getattr(builtins, name)
    if names not in _classes:
        bases = []
        for at in range(1, len(names)):
            base = _class(names[at:])
            if not any(issubclass(each, base) for each in bases):
                bases.append(base)
        body = {"__module__": module, "__qualname__": name, "__str__": _message}
        _classes[names] = type(name, tuple(bases), body)
    return _classes[names]


def _message(exc):
    return exc.__dict__.get("_message", "")


def is_right(record, error_type):
    """Whether it is the label, or what the record says is right as well."""
    return error_type == record["label"] or error_type in record["also"]


def is_wrongly_retried(record, error_type):
    """Whether a failure that no retry helps was called transient."""
    return error_type == "transient" and "transient" not in (record["label"], *record["also"])
