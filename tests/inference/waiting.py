"""Waiting for what comes in its own time: no test asserts how long that is."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any


async def eventually(
    check: Callable[[], Awaitable[Any] | Any], timeout_s: float = 30.0, every_s: float = 0.02
) -> Any:
    """Return the first true result of a check.

    Raises:
        TimeoutError: there was none in time.
    """
    async with asyncio.timeout(timeout_s):
        while True:
            result = check()
            if isawaitable(result):
                result = await result
            if result:
                return result
            await asyncio.sleep(every_s)
