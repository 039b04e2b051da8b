"""Doing the same to several things at once, on threads."""

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, TypeVar

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
    held up by one that waits out a rate limit. An error leaves those that have not begun, too, and
    cancels nothing: the cancellation is the whole step's, and tells that it was interrupted.

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
            calls = [Call(executor, function, item) for item in items]
        return [call.result(cancellation) for call in calls]
    except BaseException as error:
        if not isinstance(error, Exception):  # it is an interrupt
            cancellation.cancel()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


class Call(Generic[R]):
    """A call in another thread; to be made while signals are held back.

    A future's own lock, which Python code takes, may be left locked by an interrupt, and then the
    thread waits for it for ever. So it is not taken before the call is done.

    Args:
        executor: Makes the call.
        function: What is called.
        arguments: What it is called with.
    """

    def __init__(
        self, executor: ThreadPoolExecutor, function: Callable[..., R], *arguments: Any
    ) -> None:
        self._done: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.future = executor.submit(function, *arguments)
        self.future.add_done_callback(lambda _: self._done.put(None))

    def result(self, cancellation: Cancellation) -> R:
        """What it gives, when it is done; an interrupt that nothing tells of ends the wait as well.

        Args:
            cancellation: Ends the wait.

        Raises:
            DbtCloudCancelledError: It has; the call may go on.
        """
        while True:
            is_over = cancellation.is_cancelled
            with suppress(queue.Empty):
                self._done.get(timeout=0 if is_over else LOOK_UP)
                self._done.put(None)  # for who asks again
                break
            if is_over:
                raise DbtCloudCancelledError("Nobody waits any more.")
        return self.future.result()
