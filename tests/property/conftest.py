"""Property tests run on virtual time: see ``support.virtual_time``."""

import pytest

from support.virtual_time import LoopClock, VirtualTimeLoop


def pytest_asyncio_loop_factories(config, item):
    return {"virtual-time": VirtualTimeLoop}


@pytest.fixture
def clock():
    return LoopClock()
