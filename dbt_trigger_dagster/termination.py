"""Tells a person's wish to stop a run from the end of a worker.

Dagster interrupts a step in the same way for both. A person presses Ctrl-C (SIGINT) or terminates
the run in the UI (the stored status says so); a worker that is drained gets a bare SIGTERM.
"""

import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import dagster as dg

from dbt_trigger_dagster.client import DbtCloudClient
from dbt_trigger_dagster.errors import DbtCloudError
from dbt_trigger_dagster.models import Run

_ASKED_TO_STOP = frozenset({dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED})


class Termination:
    """Watches for a person's wish to stop one Dagster run, while it is used as a context manager.

    Args:
        instance: Where the run's status is stored.
        dagster_run_id: The run.
    """

    def __init__(self, instance: dg.DagsterInstance, dagster_run_id: str) -> None:
        self._instance = instance
        self._dagster_run_id = dagster_run_id
        self._ctrl_c = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note a SIGINT, and let whoever handled it before handle it."""
        if not _in_main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def note(number: int, frame: FrameType | None) -> None:
            self._ctrl_c = True
            if callable(before):
                before(number, frame)

        signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def is_wanted(self) -> bool:
        """Whether a person wants the run to stop."""
        run = self._instance.get_run_by_id(self._dagster_run_id)
        return self._ctrl_c or (run is not None and run.status in _ASKED_TO_STOP)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore further signals: a signal to a process group arrives more than once."""
    if not _in_main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def cancel_if_wanted(
    client: DbtCloudClient, runs: Sequence[Run], *, cancel: bool, log: logging.Logger
) -> None:
    """On the way out of an interrupted step: cancel its runs, or say that they go on.

    Never raises what goes wrong with dbt Cloud: that would hide the interrupt.
    """
    with undisturbed():
        for run in runs:
            if not cancel:
                log.warning("The step ends; dbt Cloud run %s goes on: %s", run.run_id, run.href)
                continue
            try:
                client.cancel_run(run.run_id)
                log.info("dbt Cloud run %s is cancelled: %s", run.run_id, run.href)
            except DbtCloudError as error:
                log.error(  # noqa: TRY400  # the sentence says it all
                    "dbt Cloud run %s could not be cancelled: %s %s", run.run_id, error, run.href
                )
