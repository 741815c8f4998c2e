"""A ledger as plain JSON values, and back."""

from collections.abc import Mapping
from typing import Any

from seawall.classification import ErrorType
from seawall.errors import InvalidConfigError
from seawall.patterns.grouping import Grouping
from seawall.patterns.ledger import Ledger, Tally
from seawall.patterns.rules import RULES_VERSION
from seawall.patterns.values import TopValues

STATE_VERSION = 1
_VERSIONS = {"version": STATE_VERSION, "rules": RULES_VERSION}


def dump_state(worker: str, max_templates: int, ledgers: Mapping[str, Ledger]) -> dict[str, Any]:
    """Everything a miner knows, as values that ``json.dumps`` takes."""
    return {
        **_VERSIONS,
        "worker": worker,
        "max_templates": max_templates,
        "workers": {name: _dump_ledger(ledgers[name]) for name in sorted(ledgers)},
    }


def check_versions(state: Mapping[str, Any]) -> None:
    """Refuse a state that other rules made, since its ids would mean something else.

    Raises:
        InvalidConfigError: names the version found and the one that can be loaded.
    """
    for key, wanted in _VERSIONS.items():
        found = state.get(key)
        if found != wanted:
            raise InvalidConfigError(
                f"{key}={found!r}: a state of PatternMiner that can be loaded has {wanted}"
            )


def load_ledger(state: Mapping[str, Any], grouping: Grouping) -> Ledger:
    """The ledger dumped, its shapes added to the grouping."""
    ledger = Ledger()
    ledger.observed = state["observed"]
    for item in state["templates"]:
        tally = _load_tally(item, grouping)
        ledger.tallies[tally.shape.key] = tally
    return ledger


def _dump_ledger(ledger: Ledger) -> dict[str, Any]:
    return {
        "observed": ledger.observed,
        "templates": [_dump_tally(ledger.tallies[key]) for key in sorted(ledger.tallies)],
    }


def _dump_tally(tally: Tally) -> dict[str, Any]:
    shape = tally.shape
    return {
        "error_type": shape.error_type.value if shape.error_type else None,
        "tokens": list(shape.tokens),
        "spaced": None if tally.spaced is None else f"{tally.spaced:x}",
        "absorbs": shape.absorbs,
        "count": tally.count,
        "first": tally.first,
        "last": tally.last,
        "values": [
            [list(pair) for pair in sorted(values.weights.items())] for values in tally.values
        ],
    }


def _load_tally(item: Mapping[str, Any], grouping: Grouping) -> Tally:
    error_type = None if item["error_type"] is None else ErrorType(item["error_type"])
    tally = Tally(grouping.add(error_type, tuple(item["tokens"]), absorbs=item["absorbs"]))
    tally.count, tally.first, tally.last = item["count"], item["first"], item["last"]
    tally.spaced = None if item["spaced"] is None else int(item["spaced"], 16)
    tally.shape.root().lay_out(tally.spaced)
    tally.values = [TopValues(dict(pairs)) for pairs in item["values"]]
    return tally
