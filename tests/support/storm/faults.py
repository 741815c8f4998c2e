"""What may happen, each kind as one function: ``await strike(storm)``; False: it met nobody."""

import asyncio
import signal


async def kill(storm):
    """SIGKILL. The others on its machine know at once, unless they can't tell that it is dead."""
    worker = storm.somebody()
    if worker is None:
        return False
    pid = worker.process.pid
    worker.signal(signal.SIGKILL)
    if storm.random.random() < 0.5:  # as on another machine: its lease has to run out
        await storm.server.fetch(
            "UPDATE seawall.checkpoint_leases SET process = NULL WHERE owner LIKE '%:' || $1",
            str(pid),
        )
    return True


async def freeze(storm):
    """SIGSTOP for longer than the lease, then SIGCONT."""
    worker = storm.somebody()
    if worker is None:
        return False
    worker.frozen = True
    try:
        worker.signal(signal.SIGSTOP)
        await storm.pause(1.2 * storm.lease, 2.5 * storm.lease)
    finally:
        worker.signal(signal.SIGCONT)
        worker.frozen = False
    return True


async def drop(storm):
    """All connections of one worker are reset, and for a while no new one is to be had."""
    worker = storm.somebody()
    if worker is None:
        return False
    worker.proxy.refusing = True
    worker.proxy.cut_all()
    await storm.pause(0, 1.0)
    worker.proxy.refusing = False
    return True


async def delay(storm):
    """Every message takes its time, both ways."""
    worker = storm.somebody()
    if worker is None:
        return False
    worker.proxy.delay = storm.random.uniform(0.02, 0.3)
    await storm.pause(0.5, 1.5)
    worker.proxy.delay = 0.0
    return True


async def silence(storm):
    """Half-open: connections stay, are even accepted, and nothing comes through.

    The client's side breaks after a while; the server's stays open for longer than the lease.
    """
    worker = storm.somebody()
    if worker is None:
        return False
    worker.proxy.silent = True
    await storm.pause(0.5, 2 * storm.lease)
    worker.proxy.hear_again(linger=storm.random.uniform(0, 3 * storm.lease))
    return True


def _cut_at(moment):
    async def cut(storm):
        worker = storm.somebody()
        if worker is None:
            return False
        before = worker.proxy.cuts
        worker.proxy.cut_on = moment
        for _ in range(40):
            if worker.proxy.cuts != before:
                return True
            await asyncio.sleep(0.05)
        worker.proxy.cut_on = None
        return False

    return cut


async def kill_server(storm):
    return await storm.server.kill()


async def kill_backend(storm):
    return await storm.server.kill_backend(storm.random.choice)


async def terminate(storm):
    await storm.server.terminate_backends(0.4, storm.random.random)
    return True


async def disk_full(storm):
    await storm.server.fill_disk(storm.random.uniform(0.3, 1.2))
    return True


async def no_connections(storm):
    await storm.server.refuse_connections(storm.random.uniform(0.3, 1.2))
    return True


# By name; how likely each is. A server that is down half of the time would hide the rest.
KINDS = {
    "worker killed": (kill, 6),
    "worker frozen, thawed": (freeze, 5),
    "connections dropped": (drop, 3),
    "connections delayed": (delay, 2),
    "connections half-open": (silence, 3),
    "cut in the COPY": (_cut_at("copy"), 2),
    "COMMIT lost": (_cut_at("commit-lost"), 2),
    "COMMIT's answer lost": (_cut_at("commit-answer"), 3),
    "server killed": (kill_server, 1),
    "backend killed": (kill_backend, 1),
    "backends terminated": (terminate, 2),
    "disk full": (disk_full, 3),
    "out of connections": (no_connections, 2),
}
