"""Tells a person's wish to stop a run from the end of a worker.

Dagster interrupts a step in the same way for both. A person presses Ctrl-C (SIGINT) or terminates
the run in the UI (the stored status says so); a worker that is drained gets a bare SIGTERM. The
multiprocess executor passes either on to its steps as SIGINT; so in a step's own process SIGINT is
a person's wish only where a terminal can have sent it.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import dagster as dg

from dbt_trigger_dagster.client import DbtCloudClient
from dbt_trigger_dagster.errors import DbtCloudError
from dbt_trigger_dagster.models import Run
from dbt_trigger_dagster.timing import Deadline
from dbt_trigger_dagster.trigger import Triggered

INTERRUPTS = (dg.DagsterExecutionInterruptedError, KeyboardInterrupt)
"""What a step is interrupted with."""

CANCEL_DEADLINE = 15.0
"""Seconds to try to cancel a run on the way out: less than what a worker is given to end."""

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
            self._ctrl_c = multiprocessing.parent_process() is None or _in_foreground()
            if callable(before):
                before(number, frame)

        signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def end(
        self,
        client: DbtCloudClient,
        runs: Sequence[Run],
        interrupt: BaseException,
        *,
        cancel: bool,
        log: logging.Logger,
    ) -> NoReturn:
        """End an interrupted step: cancel its runs if that is a person's wish, and say what is.

        What goes wrong with dbt Cloud never hides the interrupt.

        Raises:
            dg.Failure: A person wants it; so that Dagster does not retry the step.
            BaseException: The interrupt, where nobody does.
        """
        with undisturbed():
            wanted = self.is_wanted()
            told = [end_of(run, client if wanted and cancel else None) for run in runs]
            for sentence in told:
                log.warning(sentence)
        if wanted:
            # Told here too: a terminal's Ctrl-C also ends the process that shows a step's log.
            description = "\n".join(["The step was terminated.", *told])
            raise dg.Failure(description, allow_retries=False) from interrupt
        raise interrupt

    def is_wanted(self) -> bool:
        """Whether a person wants the run to stop."""
        run = self._instance.get_run_by_id(self._dagster_run_id)
        return self._ctrl_c or (run is not None and run.status in _ASKED_TO_STOP)


class StartInterruptedError(Exception):
    """An interrupt came while a run was being started.

    Args:
        interrupt: The interrupt.
        runs: The run, if it was started.
    """

    def __init__(self, interrupt: BaseException, runs: Sequence[Run]) -> None:
        super().__init__("The step was interrupted while a run was being started.")
        self.interrupt = interrupt
        self.runs = runs


def start_run(
    client: DbtCloudClient, start: Callable[[], Triggered], *, log: logging.Logger
) -> Triggered:
    """Start a run so that an interrupt which comes meanwhile loses none.

    Args:
        client: The client that sends the request.
        start: Sends it.
        log: Where it tells of a request that failed after the interrupt.

    Raises:
        DbtCloudError: The request has failed.
        StartInterruptedError: An interrupt came; the request has been waited for.
    """
    with ThreadPoolExecutor(max_workers=1) as executor:
        answer = executor.submit(start)
        try:
            return answer.result()
        except INTERRUPTS as interrupt:
            # The request is waited for, and a search; no pause, and so no second request.
            client.clock.stop()
            with undisturbed():
                failed = answer.exception()
            client.clock.restart()
            if failed is not None:
                log.warning("The step ends: %s", failed)
            runs = [answer.result().run] if failed is None else []
            raise StartInterruptedError(interrupt, runs) from interrupt


def end_of(run: Run, client: DbtCloudClient | None) -> str:
    """Cancel a run, where a client is given for that, and say what becomes of it."""
    if client is None:
        return f"The step ends; dbt Cloud run {run.run_id} goes on: {run.href}"
    try:
        client.cancel_run(run.run_id, deadline=Deadline.after(CANCEL_DEADLINE, client.clock))
    except DbtCloudError as error:
        return f"dbt Cloud run {run.run_id} could not be cancelled: {error} {run.href}"
    return f"dbt Cloud run {run.run_id} is cancelled: {run.href}"


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


def _in_foreground() -> bool:
    """Whether this process is one that a terminal's Ctrl-C reaches."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
