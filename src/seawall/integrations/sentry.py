"""Sentry groups by our patterns: what differs in its values only is one issue there too."""

import threading
from collections.abc import Callable
from typing import Any

from seawall.classification import Classifier
from seawall.patterns import PatternMiner


def before_send(
    miner: PatternMiner | None = None, classifier: Classifier | None = None
) -> Callable[[Any, Any], Any]:
    """A hook for ``sentry_sdk.init(before_send=…)``.

    Sets an event's fingerprint to its error pattern's id, and the tags ``seawall.error_type`` and
    ``seawall.pattern_id``. Ids are made from the content: the same on every worker.

    Args:
        miner: where messages are mined; one of its own without it.
        classifier: decides the recovery class.
    """
    miner = miner or PatternMiner()
    classifier = classifier or Classifier()
    lock = threading.Lock()

    def hook(event: Any, hint: Any) -> Any:
        raised = (hint or {}).get("exc_info")
        error = raised[1] if raised else None
        if isinstance(error, Exception):
            error_type = classifier.classify(error)
            with lock:  # sentry calls from any thread
                pattern_id = miner.observe_exception(error, error_type=error_type)
            event["fingerprint"] = ["seawall", pattern_id]
            event.setdefault("tags", {}).update(
                {"seawall.error_type": error_type.value, "seawall.pattern_id": pattern_id}
            )
        return event

    return hook
