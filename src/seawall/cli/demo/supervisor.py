"""The demo's parent: runs API and worker, kills the worker if asked, checks the result."""

import asyncio
import importlib.util
import json
import os
import signal
import sys
from dataclasses import dataclass, field
from typing import Any

import anyio

from seawall.cli.demo import data, tables
from seawall.cli.demo.api import ReferenceApi
from seawall.cli.demo.display import Display
from seawall.clock import SYSTEM_CLOCK
from seawall.errors import InvalidConfigError
from seawall.manager import ErrorRecoveryManager

_KILL_AT = 0.4  # share of the flights after which --kill strikes
_TERM_SECONDS = 5.0
_SAVE_SECONDS = 5.0


class DemoError(Exception):
    """Raised when the worker fails or the counts are off."""


@dataclass(slots=True)
class _Course:
    """What happened to the workers of this demo."""

    kill_at: int | None
    resumed_from: int | None = None
    peak_rss_bytes: int = 0
    killed: bool = False
    lines: list[str] = field(default_factory=list)


async def run(dsn: str, *, kill: bool, fresh: bool, display: Display) -> dict[str, Any]:
    """Run the demo on the server of ``dsn``; its report.

    Raises:
        DemoError: the worker failed, or a count is not what it must be; says which.
        InvalidConfigError: a package of the extra ``demo`` is missing.
    """
    data.folder()
    if importlib.util.find_spec("httpx") is None:  # the worker's; asked before anything starts
        raise InvalidConfigError("httpx is missing: pip install 'seawall[demo]'")
    _cancel_on_sigterm()
    async with ErrorRecoveryManager(dsn, pipeline_id=tables.PIPELINE) as manager:
        async with manager.database.acquire() as connection:
            await tables.prepare(connection, fresh=fresh)
        course = _Course(int(data.FLIGHTS * _KILL_AT) if kill else None)
        seconds = await _load(manager, dsn, course, display)
        async with manager.database.acquire() as connection:
            report = _report(await tables.totals(connection), course, seconds)
            wrong = await tables.check(connection, report["rows_read"])
    if kill and not course.killed:
        display.say("--kill had nothing to kill: the flights were loaded already (try --fresh)")
    if wrong:
        raise DemoError("the counts are off: " + "; ".join(map(str, wrong)))
    return report


async def _load(
    manager: ErrorRecoveryManager, dsn: str, course: _Course, display: Display
) -> float:
    """Run workers until one ends; seconds of the whole run, those of stopped demos included."""
    saved = await manager.resume_from_checkpoint(tables.RUN_ID, tables.REPORT_STEP)
    seconds: float = saved.checkpoint_data["seconds"] if saved else 0.0
    started = SYSTEM_CLOCK.monotonic()
    try:
        async with ReferenceApi(data.carriers()) as api:
            while not await _worker(dsn, api.url, course, display):
                display.say("[red]worker killed with SIGKILL[/]; starting it again")
    finally:  # stopped or failed too: the rows it loaded count, so its time must
        seconds += SYSTEM_CLOCK.monotonic() - started
        with anyio.move_on_after(_SAVE_SECONDS, shield=True):
            await manager.checkpoint_progress(
                tables.RUN_ID, tables.REPORT_STEP, {"seconds": seconds}
            )
    return seconds


def _cancel_on_sigterm() -> None:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def _worker(dsn: str, api_url: str, course: _Course, display: Display) -> bool:
    """Run one worker; False if it was killed on purpose."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # a csv.py in the user's current folder is not ours to import
        "-m",
        "seawall.cli.demo.worker",
        api_url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "SEAWALL_DSN": dsn},  # not in the arguments: those anybody can see
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            errors = tasks.create_task(_tail(process))
            await _listen(process, course, display)
        code = await process.wait()
    finally:
        await _end(process)
    if course.killed and code == -signal.SIGKILL and course.kill_at is not None:
        course.kill_at = None
        return False
    if code:
        raise DemoError(f"the worker ended with {code}: {errors.result()}")
    return True


async def _listen(process: asyncio.subprocess.Process, course: _Course, display: Display) -> None:
    if process.stdout is None:
        return
    async for line in process.stdout:
        message = json.loads(line)
        if message["event"] == "started":
            course.resumed_from = message["resumed_from"]
        elif message["event"] == "done":
            course.peak_rss_bytes = message["peak_rss_bytes"]
        display.hear(message)
        struck = course.kill_at is not None and not course.killed
        if (
            struck
            and message.get("read", 0) >= (course.kill_at or 0)
            and message["event"] == "batch"
        ):
            process.send_signal(signal.SIGKILL)
            course.killed = True


async def _tail(process: asyncio.subprocess.Process) -> str:
    """The end of what the worker wrote to standard error."""
    if process.stderr is None:
        return ""
    text = (await process.stderr.read()).decode(errors="replace").strip()
    return text[-2000:]


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_TERM_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _report(row: Any, course: _Course, seconds: float) -> dict[str, Any]:
    return {
        "rows_read": row["read_count"],
        "rows_loaded": row["write_count"],
        "rows_quarantined": row["skip_count"],
        "quarantined_by_reason": json.loads(row["by_reason"] or "{}"),
        "batches": row["batch_count"],
        "retries": row["attempts"] + row["retry_count"],
        "breaker_transitions": row["transitions"],
        "resumed_from": course.resumed_from,
        "seconds": round(seconds, 3),
    }
