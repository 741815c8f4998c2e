"""The examples of docs/testing.md run as they stand there."""

import asyncio
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.clock import SYSTEM_CLOCK, MachineClock

DOCS = Path(__file__).parents[2] / "docs" / "testing.md"
BLOCKS = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
NAMES = re.findall(r"^(?:async )?def (test_\w+)", "\n".join(BLOCKS), re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_docs_example_passes(name):
    names = {}
    exec("\n".join(BLOCKS), names)
    example = names[name]
    if inspect.iscoroutinefunction(example):
        asyncio.run(example())
    else:
        example()
    assert isinstance(SYSTEM_CLOCK._clock, MachineClock)


def test_docs_have_their_examples():
    assert len(NAMES) == 8


async def test_docs_fixture_gives_the_clock_of_the_loop():
    """As the conftest in the docs does: the loop's own clock in the place of the policies'."""
    with asyncio.get_running_loop().clock as clock:
        before = SYSTEM_CLOCK.monotonic()
        await asyncio.sleep(60)
        assert SYSTEM_CLOCK.monotonic() - before == pytest.approx(60, abs=0.001)
        assert clock.monotonic() == asyncio.get_running_loop().time()


def test_testing_needs_no_test_framework_and_seawall_does_not_need_it():
    code = (
        "import sys, seawall.manager; assert 'seawall.testing' not in sys.modules\n"
        "import seawall.testing as t; t.faults.inject\n"
        "assert not {'pytest', 'unittest', 'hypothesis'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
