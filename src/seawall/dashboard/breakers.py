"""The fleet's circuit breakers, and forcing one."""

from seawall.circuitbreaker import CircuitState
from seawall.dashboard.asked import Asked, BadRequestError
from seawall.dashboard.page import View, query
from seawall.postgres import audit, breaker_reports

_TOPICS = ("breakers", "audit")
_MOST_SECONDS = 7 * 86_400


async def look(asked: Asked) -> View:
    """All breakers, those that aren't closed first."""
    async with asked.connection() as connection:
        found = await breaker_reports.breakers(connection, asked.schema)
        transitions = await breaker_reports.transitions(connection, asked.schema, None, 20)
    found.sort(key=lambda each: (each["state"] == "closed", each["service_name"]))
    return View(
        template="breakers.html",
        title="Circuit breakers",
        topics=_TOPICS,
        values={"breakers": found, "transitions": transitions},
    )


async def look_at_one(asked: Asked) -> View:
    """One breaker; it need not be there yet to be forced."""
    name = asked.needed("name")
    async with asked.connection() as connection:
        found = await breaker_reports.breakers(connection, asked.schema)
        transitions = await breaker_reports.transitions(connection, asked.schema, name, 100)
        forced = await audit.latest(connection, asked.schema, actor=None, subject=name, limit=20)
    mine = next((each for each in found if each["service_name"] == name), None)
    return View(
        template="breaker.html",
        title=f"Circuit breaker {name}",
        topics=_TOPICS,
        values={"name": name, "breaker": mine, "transitions": transitions, "forced": forced},
    )


async def force(asked: Asked) -> tuple[str, str]:
    """Open or close a breaker for the whole fleet."""
    name, reason = asked.needed("name"), asked.needed("reason", "for the audit log")
    wanted = asked.one_of("state", ("open", "close"))
    seconds = asked.number("seconds", 0, 1, _MOST_SECONDS)
    if wanted is None:
        raise BadRequestError("state: must be open or close")
    if wanted == "close":
        state = CircuitState.CLOSED
    else:
        state = CircuitState.OPEN if seconds else CircuitState.FORCED_OPEN
    await asked.manager.force_circuit_breaker(
        name, state, reason=reason, seconds=float(seconds or 300), actor=asked.user.name
    )
    return query("/breaker", name=name), f"{name} is {state.value} for the whole fleet."
