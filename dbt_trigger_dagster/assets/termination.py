"""What becomes of a step, and of the dbt Cloud runs that it is about, when it is interrupted.

Where a person wants it to stop, its dbt Cloud runs are cancelled; where its worker ends, they go
on.
"""

import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import dagster as dg

from dbt_trigger_dagster.assets.dagster_run import Interruption, is_ctrl_c, why_interrupted
from dbt_trigger_dagster.dbt_cloud.cancel import became, cancel_and_look
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.clock import Cancellation, Deadline
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudCancelledError, DbtCloudError
from dbt_trigger_dagster.dbt_cloud.interrupts import (
    SIGNALS,
    handled_by,
    held_back,
    is_main_thread,
)
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.parallel import Call, in_parallel
from dbt_trigger_dagster.dbt_cloud.retries import is_outcome_unknown
from dbt_trigger_dagster.dbt_cloud.trigger import Triggered

INTERRUPTS = (dg.DagsterExecutionInterruptedError, KeyboardInterrupt)
"""What a step is interrupted with."""

CANCEL_DEADLINE = 15.0
"""Seconds to try to cancel runs on the way out: less than what a worker is given to end."""

ANSWER_WAIT = 15.0
"""Seconds from an interrupt until the answer to a request that starts a run is given up."""

_CANCELS_AT_ONCE = 8


class Termination:
    """Guards the blocks of one step.

    Args:
        instance: Where the Dagster run's status is stored.
        dagster_run_id: The Dagster run.
        cancel: Whether a person's wish to stop it cancels the dbt Cloud runs.
        log: Where it tells what becomes of them.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        dagster_run_id: str,
        *,
        cancel: bool,
        log: logging.Logger,
    ) -> None:
        self._instance = instance
        self._dagster_run_id = dagster_run_id
        self._cancel = cancel
        self._log = log
        self._ctrl_c = False

    @contextmanager
    def guarded(self, client: DbtCloudClient, runs: Sequence[Run] = ()) -> Iterator[None]:
        """A block that an interrupt ends as it should: what a person no longer wants is cancelled.

        It does not begin where a person has wished so before: Dagster retries a step that was
        interrupted while its output was stored.

        Args:
            client: The client that the block uses; an interrupt cancels its pauses.
            runs: The dbt Cloud runs that the block is about; what is added to it later counts.

        Raises:
            dg.Failure: A person wants the run to stop; Dagster does not retry the step.
            BaseException: The interrupt, where nobody does.
        """
        with self._noted(client.cancellation):
            try:
                if self.why().is_a_wish:
                    client.cancellation.cancel()
                _check(client.cancellation)
                yield
                _check(client.cancellation)
            except INTERRUPTS as interrupt:
                self._end(client, runs, interrupt)
            except Exception as error:
                # Once an interrupt has come, it is what went wrong, whatever was made of it.
                if client.cancellation.is_cancelled or isinstance(error, DbtCloudCancelledError):
                    self._end(client, runs, dg.DagsterExecutionInterruptedError())
                raise

    @contextmanager
    def _noted(self, cancellation: Cancellation) -> Iterator[None]:
        """Note a signal, and let whoever handled it before handle it.

        What that one raises may be lost: Python drops what is raised in the middle of a weak
        reference's callback, and SQLAlchemy what is raised while it closes a cursor. So the pauses
        are cancelled too, and nobody sleeps on.
        """
        if not is_main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}

        def note(number: int, frame: FrameType | None) -> None:
            self._ctrl_c = self._ctrl_c or is_ctrl_c(number)
            handler = before[signal.Signals(number)]
            if callable(handler):
                cancellation.cancel()
                handler(number, frame)

        noted = [
            number for number in SIGNALS if number == signal.SIGINT or callable(before[number])
        ]
        with handled_by(dict.fromkeys(noted, note)):
            yield

    def _end(
        self, client: DbtCloudClient, runs: Sequence[Run], interrupt: BaseException
    ) -> NoReturn:
        """End the step: cancel its runs if that is a person's wish, and say what becomes of them.

        What goes wrong with dbt Cloud never hides the interrupt.
        """
        client = client.with_options(cancellation=Cancellation())  # to cancel dbt runs takes time
        with ignoring_signals():
            why = self.why()
            deadline = Deadline.after(CANCEL_DEADLINE, client.clock)
            by = client.with_options(deadline=deadline) if why.is_a_wish and self._cancel else None
            told = in_parallel(
                lambda run: end_of(run, by),
                [run for run in runs if not run.is_over],
                max_parallel=_CANCELS_AT_ONCE,
                cancellation=client.cancellation,
            )
            for sentence in told:
                self._log.warning(sentence)
        if why.is_a_wish:
            # Told here too: a terminal's Ctrl-C also ends the process that shows a step's log.
            description = "\n".join([why.value, *told])
            raise dg.Failure(description, allow_retries=False) from interrupt
        raise interrupt

    def why(self) -> Interruption:
        """Why the step is interrupted, or would be if it were now."""
        return why_interrupted(
            self._instance, self._dagster_run_id, ctrl_c=self._ctrl_c, log=self._log
        )


def _check(cancellation: Cancellation) -> None:
    """Raise where an interrupt has come and its exception was lost."""
    if cancellation.is_cancelled:
        raise DbtCloudCancelledError("The step was interrupted.")


def start_run(
    client: DbtCloudClient,
    start: Callable[[DbtCloudClient], Triggered],
    runs: list[Run],
    *,
    log: logging.Logger,
    answer_wait: float = ANSWER_WAIT,
) -> Triggered:
    """Start a run, in a guarded block, so that an interrupt which comes meanwhile loses none.

    Args:
        client: The client that sends the request.
        start: Sends it with a client of the same account, whose answers can be given up.
        runs: What the guard is about; the run is added to it, also when an interrupt comes.
        log: Where it tells of a request that failed after the interrupt.
        answer_wait: Seconds from an interrupt until the answer is given up.

    Raises:
        DbtCloudError: The request has failed.
    """
    given_up = Cancellation()
    by = client.with_options(deadline=Deadline.until_cancelled(given_up, client.clock))
    answer: Call[Triggered] | None = None
    with ThreadPoolExecutor(max_workers=1) as executor:
        try:
            with held_back():
                answer = Call(executor, start, by)
            triggered = answer.result(client.cancellation)
            runs.append(triggered.run)  # at once: to leave the executor takes time
        except (*INTERRUPTS, DbtCloudCancelledError):
            if answer is not None:
                client.cancellation.cancel()
                found = _run_despite_interrupt(answer.future, given_up, answer_wait, log)
                runs += [run for run in found if run not in runs]
            raise
    return triggered


def _run_despite_interrupt(
    answer: "Future[Triggered]", given_up: Cancellation, seconds: float, log: logging.Logger
) -> list[Run]:
    """The run, if there is one. Its request is waited for a while, and a search.

    But no pause, and so no second request.
    """
    with ignoring_signals():
        wait([answer], timeout=seconds)
        given_up.cancel()
        failed = answer.exception()
    if failed is None:
        return [answer.result().run]
    log.warning("The step ends: %s%s", failed, _doubt(failed))
    return []


def _doubt(failed: BaseException) -> str:
    if isinstance(failed, DbtCloudError) and is_outcome_unknown(failed):
        return " The job may have been started nevertheless."
    return ""


def end_of(run: Run, client: DbtCloudClient | None) -> str:
    """Cancel a run, where a client is given for that, and say what becomes of it."""
    if client is None:
        return f"The step ends; dbt Cloud run {run.run_id} goes on: {run.href}"
    try:
        seen = cancel_and_look(client, run.run_id)
    except DbtCloudError as error:
        return f"dbt Cloud run {run.run_id} could not be cancelled: {error} {run.href}"
    return f"dbt Cloud run {run.run_id} {became(seen)}: {run.href}"


@contextmanager
def ignoring_signals() -> Iterator[None]:
    """Ignore further signals: a signal to a process group arrives more than once."""
    if not is_main_thread():
        yield
        return
    with handled_by(dict.fromkeys(SIGNALS, signal.SIG_IGN)):
        yield
