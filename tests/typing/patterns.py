"""What a type checker makes of ``PatternMiner``."""

from typing import Any, assert_type

from seawall import (
    ErrorPattern,
    ErrorRecoveryManager,
    ErrorType,
    PatternMiner,
    Trend,
    stack_fingerprint,
)


class OurMiner(PatternMiner):
    pass


def mine(miner: OurMiner, other: PatternMiner, exc: Exception) -> None:
    assert_type(miner.observe("m", error_type=ErrorType.DATA, at=1.0, fingerprint="1:x"), str)
    assert_type(miner.observe_exception(exc), str)
    assert_type(miner.match("m"), str | None)
    assert_type(miner.resolve("0"), str | None)
    assert_type(miner.merge(other), OurMiner)
    assert_type(OurMiner.load(miner.dump()), OurMiner)
    assert_type(miner.dump(), dict[str, Any])
    assert_type(miner.patterns(), list[ErrorPattern])
    assert_type(stack_fingerprint(exc), str)


async def known(manager: ErrorRecoveryManager) -> None:
    found = await manager.get_error_patterns("flights", 30, status="open")
    assert_type(found, list[ErrorPattern])
    assert_type(found[0].trend, Trend | None)
    assert_type(
        await manager.resolve_error_pattern(found[0].pattern_id, actor="ann", reason="done"), str
    )
