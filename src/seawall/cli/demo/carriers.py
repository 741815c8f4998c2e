"""Carriers' names from the API: retried, behind a circuit breaker, with a file to fall back to."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from seawall.cli.demo import data
from seawall.fallback import fallback
from seawall.manager import ErrorRecoveryManager

if TYPE_CHECKING:
    import httpx

Name = tuple[str, str]  # a name, and where it comes from: "api" or "file"

SERVICE = "carriers-api"


class Carriers:
    """The names learnt so far; what only the file told is asked of the API again and again."""

    def __init__(self, manager: ErrorRecoveryManager, client: "httpx.AsyncClient") -> None:
        self._names: dict[str, Name] = {}
        file = data.carriers()

        async def from_file(code: str) -> Name:
            return file[code], "file"

        @fallback(from_file, bus=manager.bus)
        @manager.retry_on_failure(name="carrier name", max_retries=2, initial_delay=0.05)
        @manager.circuit_breaker(SERVICE, failure_threshold=4, timeout=1.0)
        async def ask(code: str) -> Name:
            response = await client.get(f"/carriers/{code}")
            response.raise_for_status()
            return response.json()["name"], "api"

        self._ask = ask

    async def learn(self, codes: Iterable[str]) -> list[tuple[str, str, str]]:
        """Ask for the names still wanted; code, name and source of those learnt just now."""
        learnt = []
        for code in sorted(codes):
            known = self._names.get(code)
            if known is None or known[1] != "api":
                name = self._names[code] = await self._ask(code)
                if name != known:
                    learnt.append((code, *name))
        return learnt
