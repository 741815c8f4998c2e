"""The storm's workers: started, and started again until the run is done."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

from support.proxy import Proxy, target_of, through

_WORKER = Path(__file__).with_name("worker.py")


class Worker:
    """A place in the fleet: one process after the other, each behind the same proxy."""

    def __init__(self, number, proxy):
        self.number, self.proxy = number, proxy
        self.process = None
        self.frozen = False
        self.done = False

    @property
    def alive(self):
        return self.process is not None and self.process.returncode is None

    def signal(self, number):
        if not self.alive:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, number)
            return True
        return False


class Fleet:
    """Workers of one run, each started anew whenever it ends before the run does.

    Attributes:
        ends: how often a process ended, by what it said last.
        odd: what it wrote, where it ended by none of the errors that a fault explains.
    """

    def __init__(self, server, job, number, expected):
        self._server, self._job, self._number = server, job, number
        self._expected = expected
        self.workers = []
        self.ends = Counter()
        self.odd = []
        self._watchers = []

    async def __aenter__(self):
        dsn = self._server.worker_dsn
        for number in range(self._number):
            proxy = Proxy(target_of(dsn))
            await proxy.__aenter__()
            self.workers.append(Worker(number, proxy))
        self._watchers = [asyncio.ensure_future(self._keep(each)) for each in self.workers]
        return self

    async def __aexit__(self, *exc):
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for worker in self.workers:
            if worker.signal(signal.SIGKILL):
                await worker.process.wait()
            await worker.proxy.__aexit__(None, None, None)

    async def _keep(self, worker):
        dsn = through(self._server.worker_dsn, worker.proxy.port)
        while not worker.done:
            with tempfile.TemporaryFile() as output:
                worker.process = await asyncio.create_subprocess_exec(
                    sys.executable, str(_WORKER), json.dumps({**self._job, "dsn": dsn}),
                    stdout=output, stderr=output,
                )  # fmt: skip
                code = await worker.process.wait()
                output.seek(0)
                text = output.read().decode(errors="replace")
            worker.done = code == 0
            self._note(code, text)

    def _note(self, code, text):
        lines = text.splitlines()
        said = f"signal {-code}" if code < 0 else (lines[-1] if lines else "nothing")
        self.ends[said] += 1
        if code > 0 and said not in self._expected:
            self.odd.append(text)

    async def ended(self, seconds):
        """Wait for every worker to say that all is done; whether they did."""
        done, waiting = await asyncio.wait(self._watchers, timeout=seconds)
        for each in done:
            each.result()
        return not waiting

    async def stacks(self):
        """What the workers that still live are at."""
        for worker in self.workers:
            worker.signal(signal.SIGUSR1)
        await asyncio.sleep(0.5)
