"""Log lines of what happens, with structured extras, through the standard ``logging``."""

import logging
from collections.abc import Callable
from typing import Any

from seawall.config import Range
from seawall.events import Event
from seawall.instrumentation.lines import LINES, Line, extras, one_line
from seawall.instrumentation.storm import Storm, Suppressed
from seawall.manager import ErrorRecoveryManager
from seawall.quarantine.payload import PayloadForm
from seawall.text import recordable


def log_events(manager: ErrorRecoveryManager, *, most_per_minute: int = 10) -> Callable[[], None]:
    """Log what ``manager`` does; the returned function ends it.

    Loggers are ``seawall.retry``, ``seawall.checkpoint`` and so on, and ``ErrorRecoveryManager``
    for runs, logged errors, patterns and budgets. Each record has the event's fields as extras,
    ``event_type`` and the run's ids among them; secrets are masked, and a line is one line.

    Of what is the same (one operation's failures by one exception, say) the first
    ``most_per_minute`` are logged, and a minute later how many more there were.

    Args:
        manager: started or not.
        most_per_minute: 1 to 10,000.

    Raises:
        InvalidConfigError: it is out of range.
    """
    Range(int, 1, 10_000).check("most_per_minute", most_per_minute)
    writer = _Writer(manager, most_per_minute)
    unsubscribe = manager.bus.subscribe(writer.hear)

    def undo() -> None:
        unsubscribe()
        writer.close()

    return undo


class _Writer:
    """The listener."""

    def __init__(self, manager: ErrorRecoveryManager, most: int) -> None:
        self._pipeline_id = manager.pipeline_id
        self._masker = PayloadForm.of(manager.config).masker
        self._storm = Storm(most, self._summarize)
        self._loggers = {line.logger: logging.getLogger(line.logger) for line in LINES.values()}

    def hear(self, event: Event) -> None:
        line = LINES.get(type(event))
        if line is None:
            return
        logger, level = self._loggers[line.logger], line.level_of(event)
        if not logger.isEnabledFor(level) or not self._storm.admits(_key(line, event), level):
            return
        found = extras(event, self._clean)
        if found["pipeline_id"] is None:
            found["pipeline_id"] = self._pipeline_id
        logger.log(level, line.text_of(event), found, extra=found)

    def close(self) -> None:
        """Tell what was not told yet."""
        self._storm.close()

    def _summarize(self, what: Suppressed) -> None:
        kind, *about = what.key
        line = next(line for each, line in LINES.items() if each.__name__ == kind)
        found: dict[str, Any] = {
            "event_type": f"{kind}Summary",
            "suppressed_count": what.count,
            "seconds": round(what.seconds, 3),
            **{name: self._clean(value) for name, value in zip(line.key, about, strict=False)},
        }
        found["about"] = ", ".join(f"{name}={found[name]}" for name in line.key if found.get(name))
        self._loggers[line.logger].log(
            what.level,
            "%(suppressed_count)d more %(event_type)s in the last %(seconds).0f s (%(about)s)",
            {**found, "event_type": kind},
            extra=found,
        )

    def _clean(self, text: str) -> str:
        return one_line(recordable(text, self._masker))


def _key(line: Line, event: Event) -> tuple[str, ...]:
    values = (
        getattr(event.scope if hasattr(event.scope, name) else event, name, None)
        for name in line.key
    )
    return (type(event).__name__, *(str(value or "") for value in values))
