"""Dagster's memory, in memory: made once, used by one test after the other."""

import atexit
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

_unused: list[dg.DagsterInstance] = []


@contextmanager
def an_instance() -> Iterator[dg.DagsterInstance]:
    """An instance that is empty; to make one takes twenty times as long as to wipe a used one."""
    instance = _unused.pop() if _unused else dg.DagsterInstance.ephemeral()
    try:
        yield instance
    finally:
        instance.wipe()
        _unused.append(instance)


@atexit.register
def _dispose() -> None:
    for instance in _unused:
        instance.dispose()
