"""Doing the same to several things at once, on threads."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from dbt_trigger_dagster.dbt_cloud.clock import Cancellation

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
        with signals_held_back():
            results = executor.map(function, items)
        return list(results)
    except BaseException:
        cancellation.cancel()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Let signals wait while threads are started: an interrupt in the middle would lose one."""
    if not is_main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def is_main_thread() -> bool:
    """Whether this is the thread that Python handles signals in."""
    return threading.current_thread() is threading.main_thread()
