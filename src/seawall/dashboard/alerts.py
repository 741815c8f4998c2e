"""Alerts and silences."""

from seawall.dashboard.asked import Asked
from seawall.dashboard.page import View

_STATES = ("firing", "resolving", "resolved")


async def look(asked: Asked) -> View:
    """Alerts, those seen last first, and the silences that run."""
    state = asked.one_of("state", _STATES)
    return View(
        template="alerts.html",
        title="Alerts",
        topics=("alerts", "audit"),
        values={
            "alerts": await asked.manager.list_alerts(state=state, limit=100),
            "silences": await asked.manager.list_silences(),
            "state": state,
            "states": _STATES,
        },
    )


async def silence(asked: Asked) -> tuple[str, str]:
    """Tell nobody of some alerts for a while."""
    rule, key = asked.text("rule"), asked.text("key")
    pipeline = asked.text("pipeline")
    named = {"rule": rule, "pipeline_id": pipeline, "key": key}
    matchers = {name: value for name, value in named.items() if value is not None}
    if not matchers:
        asked.needed("rule", "or a pipeline: an empty silence would hide everything")
    hours = asked.number("hours", 1, 1, 24 * 90)
    await asked.manager.silence_alerts(
        matchers,
        seconds=hours * 3600.0,
        actor=asked.user.name,
        reason=asked.needed("reason", "for the audit log"),
    )
    return "/alerts", f"Silenced for {hours} h."


async def unsilence(asked: Asked) -> tuple[str, str]:
    """End a silence."""
    ended = await asked.manager.end_silence(
        asked.needed_key("id"),
        actor=asked.user.name,
        reason=asked.needed("reason", "for the audit log"),
    )
    return "/alerts", "The silence is over." if ended else "That silence was over before."
