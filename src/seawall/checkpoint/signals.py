"""SIGTERM and SIGINT, for as long as somebody listens; any number of steps may."""

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from seawall.errors import InvalidConfigError

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

Handler = Callable[[int, FrameType | None], Any] | int | None


class _Listeners:
    """Those of one event loop, and what handled the signals before them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.all = loop, list[Callable[[str], None]]()
        self._before: dict[signal.Signals, Handler] = {}

    def install(self) -> None:
        self._before = {each: signal.getsignal(each) for each in _SIGNALS}
        for each in _SIGNALS:
            self.loop.add_signal_handler(each, self._heard, each)

    def restore(self) -> None:
        for each, handler in self._before.items():
            self.loop.remove_signal_handler(each)
            signal.signal(each, handler if handler is not None else signal.SIG_DFL)

    def _heard(self, number: signal.Signals) -> None:
        for stop in list(self.all):
            stop(number.name)


_by_loop: dict[asyncio.AbstractEventLoop, _Listeners] = {}


def listen(stop: Callable[[str], None]) -> Callable[[], None]:
    """Call ``stop`` with the signal's name at SIGTERM and SIGINT; the returned function ends it.

    What handled the signals before comes back when nobody listens any more.

    Raises:
        InvalidConfigError: this is not the main thread, where alone Python handles signals.
    """
    if threading.current_thread() is not threading.main_thread():
        raise InvalidConfigError(
            "handle_signals=True: Python handles signals in the main thread alone; there, call "
            "`step.stop()` from a handler of your own"
        )
    loop = asyncio.get_running_loop()
    listeners = _by_loop.get(loop)
    if listeners is None:
        listeners = _Listeners(loop)
        listeners.install()
        _by_loop[loop] = listeners
    listeners.all.append(stop)

    def end() -> None:
        listeners.all.remove(stop)
        if not listeners.all:
            del _by_loop[loop]
            listeners.restore()

    return end
