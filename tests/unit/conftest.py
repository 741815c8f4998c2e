"""Unit tests run on virtual time (``support.virtual_time``) unless marked ``real_time``."""

import asyncio

import pytest

from seawall.clock import SYSTEM_CLOCK
from support.virtual_time import LoopClock, VirtualTimeLoop


def pytest_asyncio_loop_factories(config, item):
    if item.get_closest_marker("real_time"):
        return {"real-time": asyncio.new_event_loop}
    return {"virtual-time": VirtualTimeLoop}


@pytest.fixture
def clock(request):
    return SYSTEM_CLOCK if request.node.get_closest_marker("real_time") else LoopClock()
