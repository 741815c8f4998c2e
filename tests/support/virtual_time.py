"""An event loop whose clock jumps: sleeps and timeouts take no real time, and time never drifts.

Only for code that waits on timers; where threads, sockets or processes take part, use the real
loop.
"""

import asyncio
import selectors


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    loop: "VirtualTimeLoop"

    def select(self, timeout=None):
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(0)
        if not ready:
            self.loop.advance(timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """``time()`` starts at 1000.0 and moves only by the timers that fall due."""

    def __init__(self) -> None:
        self._virtual_now = 1000.0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual_now

    def advance(self, seconds: float) -> None:
        # A whole clock tick past the timer, so that rounding never leaves it pending.
        self._virtual_now += seconds + 1e-9


class LoopClock:
    """A ``seawall.clock.Clock`` that reads the running loop: the one to pass to the code under test."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run(main):
    """Run a coroutine on a fresh loop with virtual time (for hypothesis tests, which are sync)."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
