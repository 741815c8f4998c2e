"""Operations that follow a script, and a bus that remembers."""

import asyncio

from seawall.events import EventBus


class Script:
    """An async operation that raises or returns the scripted outcomes in turn, the last for ever."""

    def __init__(self, *outcomes, seconds=0.0):
        self.outcomes = outcomes
        self.seconds = seconds
        self.calls = []
        self.times = []

    async def __call__(self, *args, **kwargs):
        self.times.append(asyncio.get_running_loop().time())
        self.calls.append((args, kwargs))
        if self.seconds:
            await asyncio.sleep(self.seconds)
        outcome = self.outcomes[min(len(self.calls), len(self.outcomes)) - 1]
        if isinstance(outcome, type) and issubclass(outcome, BaseException):
            raise outcome("scripted")
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    @property
    def count(self):
        return len(self.calls)

    @property
    def gaps(self):
        """Seconds between the starts of one attempt and the next, to the millisecond."""
        return [round(b - a, 3) for a, b in zip(self.times, self.times[1:], strict=False)]


class RecordingBus(EventBus):
    """Keeps every event."""

    def __init__(self):
        super().__init__()
        self.events = []
        self.subscribe(self.events.append)

    @property
    def names(self):
        return [type(event).__name__ for event in self.events]
