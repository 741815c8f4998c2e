"""Who holds a lease, for people: this process's host and pid."""

import os
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Owner:
    """A process.

    Attributes:
        name: ``host:pid``.
    """

    host: str
    pid: int

    @property
    def name(self) -> str:
        return f"{self.host}:{self.pid}"


def owner() -> Owner:
    """This process; another one after a fork."""
    return Owner(socket.gethostname(), os.getpid())
