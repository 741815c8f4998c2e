"""The server's parent process: ``python -I keeper.py JSON``. Imports nothing of seawall's.

It reaps the server, and asks it to stop a while after the last client's lock is gone, or when a
``stop`` file appears; a ``hold`` file keeps the server running without clients.
"""

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

POLL_SECONDS = 0.25
PATIENCE_SECONDS = 60  # a fast shutdown that takes longer is made an immediate one
_PR_SET_PDEATHSIG = 1


def try_exclusive(path: str) -> int | None:
    """The descriptor of the locked file, or None."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def die_with_parent() -> None:
    """Linux: the server gets SIGINT (fast shutdown) when the keeper dies."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)


def start_server(conf: dict[str, Any]) -> subprocess.Popen[bytes]:
    account = conf["account"]
    options = {"user": account[0], "group": account[1], "extra_groups": []} if account else {}
    server = subprocess.Popen(
        conf["argv"],
        stdin=subprocess.DEVNULL,
        pass_fds=(conf["lock"],),
        cwd="/",
        start_new_session=True,
        umask=0o077,
        preexec_fn=die_with_parent,
        **options,
    )
    os.close(conf["lock"])  # held by the server and all of its children from here on
    return server


def keep(conf: dict[str, Any]) -> int:
    """Run the server until it ends; 0 if it ended well."""
    root = conf["root"]
    asked: float | None = None
    idle_since: float | None = None
    signalled: list[bool] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: signalled.append(True))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop, hold = os.path.join(root, "stop"), os.path.join(root, "hold")
    server = start_server(conf)
    while True:
        try:
            code = server.wait(timeout=POLL_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        else:
            print(f"{time.strftime('%F %T')} the server ended with {code}", flush=True)
            return int(code != 0)
        now = time.monotonic()
        if asked is not None:
            if now - asked > PATIENCE_SECONDS:
                server.send_signal(signal.SIGQUIT)
                asked = now
            continue
        unused = try_exclusive(os.path.join(root, "clients.lock"))
        idle_since = None if unused is None or os.path.exists(hold) else idle_since or now
        if signalled or os.path.exists(stop) or (idle_since and now - idle_since >= conf["idle"]):
            server.send_signal(signal.SIGINT)
            asked = now
            if os.path.exists(stop):
                os.unlink(stop)
            # `unused` stays locked: newcomers wait until the server is gone.
            continue
        if unused is not None:
            os.close(unused)


if __name__ == "__main__":
    # Away from whoever needed the server first: nobody's child, nobody's zombie.
    if os.fork():
        os._exit(0)
    sys.exit(keep(json.loads(sys.argv[1])))
