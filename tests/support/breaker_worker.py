"""A worker process for the fleet's tests: obeys JSON lines on stdin, answers with one each.

    python breaker_worker.py DSN CONFIG_JSON OPTIONS_JSON

Its breaker guards the service ``api``. Calls go through ``reach``, which counts and writes a line
to the file named in OPTIONS_JSON, so that the test sees who reached the service, and when.
"""

import asyncio
import json
import sys
import threading
import time

from seawall import CircuitOpenError, ErrorRecoveryManager


class Worker:
    def __init__(self, manager, options):
        self.service = options.pop("service_file", None)
        self.breaker = manager.circuit_breaker("api", **options)
        self.task = None
        self.release = asyncio.Event()

    async def reach(self, outcome, seconds=0.0):
        if self.service is not None:
            with open(self.service, "a") as file:
                file.write(f"{time.monotonic()}\n")
        if outcome == "hang":
            await self.release.wait()
        await asyncio.sleep(seconds)
        if outcome == "fail":
            raise ConnectionError("the service is down")

    async def call(self, outcome="ok", times=1, seconds=0.0):
        ended = {"ok": 0, "failed": 0, "refused": 0}
        for _ in range(times):
            ended[await self.one(outcome, seconds)] += 1
        return ended

    async def one(self, outcome, seconds):
        try:
            await self.breaker.call(self.reach, outcome, seconds)
        except CircuitOpenError:
            return "refused"
        except ConnectionError:
            return "failed"
        return "ok"

    async def herd(self, callers, outcome="ok", seconds=0.0, patience=10.0):
        """Callers that ask until they are let through, the breaker closes, or time is up."""
        end = time.monotonic() + patience

        async def caller():
            while time.monotonic() < end:
                ended = await self.one(outcome, seconds)
                if ended != "refused":
                    return ended
                await asyncio.sleep(0.005)
            return "refused"

        ended = await asyncio.gather(*(caller() for _ in range(callers)))
        return {kind: ended.count(kind) for kind in ("ok", "failed", "refused")}

    async def begin(self, outcome="hang"):
        """Start one call, asked for until it is admitted, and leave it running."""
        self.release.clear()
        reached = asyncio.Event()

        async def service():
            reached.set()
            await self.reach(outcome)

        async def trial():
            while True:
                try:
                    return await self.breaker.call(service)
                except CircuitOpenError:
                    await asyncio.sleep(0.005)

        self.task = asyncio.ensure_future(trial())
        await reached.wait()
        return {"began": time.monotonic()}

    async def cancel(self):
        self.task.cancel()
        await asyncio.wait([self.task])
        return {"cancelled": self.task.cancelled()}

    async def finish(self):
        self.release.set()
        await asyncio.wait([self.task])
        return {"error": repr(self.task.exception())}

    async def until(self, state, seconds=10.0):
        """Wait for a state; the moment it was seen (monotonic, the same in all processes)."""
        end = time.monotonic() + seconds
        while self.breaker.state != state:
            if time.monotonic() > end:
                return {"state": self.breaker.state, "at": None}
            await asyncio.sleep(0.0005)
        return {"state": state, "at": time.monotonic()}

    async def trip(self):
        """Fail until the breaker opens; the moment of the last failure."""
        while True:
            at = time.monotonic()
            await self.one("fail", 0.0)
            if self.breaker.is_open():
                return {"at": at}

    async def reset(self):
        self.breaker.reset()
        return {}

    async def look(self):
        seen = self.breaker.snapshot()
        return {
            "state": seen.state,
            "retry_after": seen.retry_after,
            "fleet_epoch": seen.fleet_epoch,
            "opened_count": seen.opened_count,
            "governs": seen.fleet_epoch is not None and self.breaker.link.governs,
            "tasks": len(asyncio.all_tasks()),
        }


async def main(dsn, config, options):
    lines = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    async with ErrorRecoveryManager(dsn, config=config) as manager:
        worker = Worker(manager, options)
        print(json.dumps(await worker.look()), flush=True)
        while (line := await lines.get()) is not None:
            order = json.loads(line)
            print(json.dumps(await getattr(worker, order.pop("do"))(**order)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])))
