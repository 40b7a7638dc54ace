"""News with signs of life in between."""

import asyncio
from collections.abc import AsyncIterator

from installer.views.follow import with_silence


async def test_silence_is_told_and_no_item_is_lost() -> None:
    more = asyncio.Event()

    async def news() -> AsyncIterator[str]:
        yield "first"
        await more.wait()
        yield "second"

    heard = []
    async for item in with_silence(news(), 0.01):
        heard.append(item)
        if item is None:
            more.set()
    assert [item for item in heard if item] == ["first", "second"]
    assert None in heard
    assert heard[-1] == "second"
