"""For tests of code that uses seawall: time that costs none, forced states, injected faults.

Needs no test framework. Nothing here is imported by the rest of seawall.
"""

from seawall.testing.faults import inject
from seawall.testing.forced import force
from seawall.testing.virtual import LoopClock, VirtualClock, VirtualTimeLoop, run
from seawall.testing.waits import no_waits

__all__ = [
    "LoopClock",
    "VirtualClock",
    "VirtualTimeLoop",
    "force",
    "inject",
    "no_waits",
    "run",
]
