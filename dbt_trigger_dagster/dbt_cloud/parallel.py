"""Doing the same to several things at once, on threads."""

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from dbt_trigger_dagster.dbt_cloud.clock import Cancellation
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudCancelledError
from dbt_trigger_dagster.dbt_cloud.interrupts import LOOK_UP, held_back

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(
    function: Callable[[T], R],
    items: Sequence[T],
    *,
    max_parallel: int,
    cancellation: Cancellation,
) -> list[R]:
    """Call a function for each item, and return what it gives, in the items' order.

    An interrupt leaves the calls that have not begun, and cancels those that have: so it is not
    held up by one that waits out a rate limit.

    Args:
        function: What is called.
        items: What it is called with.
        max_parallel: How many calls there are at the same time.
        cancellation: What the calls are ended by.
    """
    if len(items) <= 1:
        return [function(item) for item in items]
    executor = ThreadPoolExecutor(max_workers=min(max_parallel, len(items)))
    try:
        with held_back():
            calls = [executor.submit(function, item) for item in items]
        return [result_of(call, cancellation) for call in calls]
    except BaseException:
        cancellation.cancel()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def result_of(future: "Future[R]", cancellation: Cancellation | None = None) -> R:
    """What a call gives, when it is done; an interrupt that nothing tells of ends the wait as well.

    Args:
        future: The call.
        cancellation: Ends the wait for it, where there is one.

    Raises:
        DbtCloudCancelledError: It has ended the wait; the call may go on.
    """
    # No wait of the future's own, which an interrupt may leave with its lock in disorder.
    done: queue.SimpleQueue[None] = queue.SimpleQueue()
    future.add_done_callback(lambda _: done.put(None))
    while not future.done():
        if cancellation is not None and cancellation.is_cancelled:
            raise DbtCloudCancelledError("Nobody waits any more.")
        with suppress(queue.Empty):
            done.get(timeout=LOOK_UP)
    return future.result()
