"""Processes that start at once, and many cases in them: Dagster handles signals, threads cannot."""

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

from dbt_trigger_dagster_tests.processes import fork_server

T = TypeVar("T")
R = TypeVar("R")

_STEPS_TOLD = 10


def in_parallel(
    what: str, function: Callable[[T], R], items: Sequence[T], *, for_each_core: int = 1
) -> list[R]:
    """Call for each item, in its order; tells progress on stderr.

    Args:
        what: The items' name, for the progress.
        function: A function of a module; each process runs one call at a time.
        items: Its arguments.
        for_each_core: Processes for each core; more than one where most of the time is waiting.
    """
    workers = min(len(items), for_each_core * (os.cpu_count() or 1)) or 1
    with ProcessPoolExecutor(workers, mp_context=fork_server()) as pool:
        futures = [pool.submit(function, item) for item in items]
        for done, _ in enumerate(as_completed(futures), start=1):
            if done * _STEPS_TOLD // len(items) > (done - 1) * _STEPS_TOLD // len(items):
                sys.stderr.write(f"{what}: {done} of {len(items)}\n")
        return [future.result() for future in futures]
