"""Virtual time for our own tests: what ``seawall.testing`` gives to users."""

from seawall.testing import LoopClock, VirtualTimeLoop, run

__all__ = ["LoopClock", "VirtualTimeLoop", "run"]
