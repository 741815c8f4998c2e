import asyncio
import sys
from pathlib import Path

import pytest

import support
from support.numbers_table import connection, ledger, make_manager, numbers_fixture

__all__ = ["connection", "ledger", "make_manager", "numbers_fixture"]

WORKER = Path(support.__file__).parent / "checkpoint_worker.py"


class Worker:
    """A ``checkpoint_worker`` process."""

    def __init__(self, process):
        self._process = process
        self.lines = []

    async def until(self, word):
        """Read its lines up to the first that begins with ``word``."""
        while True:
            line = (await self._process.stdout.readline()).decode().strip()
            if not line:
                errors = (await self._process.stderr.read()).decode()
                raise AssertionError(f"ended without {word!r}: {self.lines} {errors}")
            self.lines.append(line)
            if line.startswith(word):
                return line

    def send(self, number):
        self._process.send_signal(number)

    async def end(self):
        """Its exit code, and what it wrote on stderr."""
        out, errors = await self._process.communicate()
        self.lines += out.decode().splitlines()
        return self._process.returncode, errors.decode()


@pytest.fixture
async def start_worker(database_dsn):
    processes = []

    async def start(mode, total, size, argument=0):
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(WORKER), database_dsn, mode, str(total), str(size), str(argument),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        processes.append(process)
        return Worker(process)

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
            await process.wait()
        process._transport.close()
