"""What a type checker makes of ``run.step``."""

from typing import assert_type

from seawall import ErrorRecoveryManager


async def count(n: int) -> int:
    return n


def name(n: int) -> str:
    return str(n)


async def steps(manager: ErrorRecoveryManager) -> None:
    async with manager.run("p") as run:
        assert_type(await run.step("count", count, 1), int)
        assert_type(await run.step("name", name, 1), str)
