"""Reading a source to its end, or up to a position."""

import asyncio
from contextlib import aclosing


async def read(source, after=None, limit=None):
    """``[(position, record)]`` behind ``after``, at most ``limit`` of them."""
    found = []
    async with aclosing(source.chunks(after)) as chunks:
        async for chunk in chunks:
            assert chunk, "an empty chunk"
            found.extend(chunk)
            if limit is not None and len(found) >= limit:
                return found[:limit]
    return found


def read_now(source, after=None, limit=None):
    return asyncio.run(read(source, after, limit))
