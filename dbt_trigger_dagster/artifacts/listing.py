"""A run's artifacts: which there are, which are wanted, and until when more may come."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Literal, TypeVar

from dbt_trigger_dagster.artifacts.catalog import CATALOG
from dbt_trigger_dagster.artifacts.freshness import FRESHNESS_FILES
from dbt_trigger_dagster.artifacts.manifest import MANIFEST
from dbt_trigger_dagster.artifacts.paths import (
    OF_THE_RUN,
    Artifact,
    matches,
)
from dbt_trigger_dagster.artifacts.run_results import RUN_RESULTS, leaves_results
from dbt_trigger_dagster.artifacts.run_steps import command_of, dbt_steps_of, kind_of
from dbt_trigger_dagster.artifacts.telemetry import telemetry_file
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.clock import Cancellation, Deadline
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudNotFoundError
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.dbt_cloud.retries import backoff

T = TypeVar("T")

ARTIFACT_LAG = 30.0
"""Seconds in which artifacts may still arrive in dbt Cloud after a run is over."""

ARTIFACT_LAG_OF_FAILED = 5.0
"""The same for a run that dbt Cloud says it keeps no artifacts of."""

LONG_AGO = timedelta(minutes=10)
"""The age of a run from which on nothing arrives any more."""

WELL_KNOWN = (MANIFEST, RUN_RESULTS, CATALOG, *FRESHNESS_FILES, "semantic_manifest.json")
"""What a dbt command may leave; dbt Cloud lists no artifacts of single steps."""

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True)
class Wanted:
    """Which artifacts of a run are wanted.

    Attributes:
        steps: ``last``: what dbt Cloud lists, which is of the last step; ``all``: also what each
            dbt command may have left.
        include: Patterns of wanted paths.
        exclude: Patterns of unwanted paths.
        node_results: Whether what tells of the nodes is wanted of each dbt command as well.
    """

    steps: Literal["last", "all"] = "last"
    include: Sequence[str] = ("**",)
    exclude: Sequence[str] = ()
    node_results: bool = False

    def among(self, run: Run, listed: Sequence[str]) -> list[Artifact]:
        """The wanted artifacts of a run; those that a step did not leave are 404 on download.

        Args:
            run: The run, when it is over, with its steps.
            listed: The paths that dbt Cloud lists.
        """
        found = [Artifact(run.run_id, OF_THE_RUN, path) for path in listed]
        if self.steps == "all":
            found += _of_each_step(run)
        elif self.node_results:
            found += _of_nodes(run, listed)
        return [each for each in found if matches(each.path, self.include, self.exclude)]


def _of_each_step(run: Run) -> Iterator[Artifact]:
    for step in dbt_steps_of(run):
        for path in (*WELL_KNOWN, telemetry_file(step)):
            yield Artifact(run.run_id, step, path)


def _of_nodes(run: Run, listed: Sequence[str]) -> Iterator[Artifact]:
    """One file of each dbt command that tells of nodes; what is listed is the last one's."""
    steps = dbt_steps_of(run)
    for step, payload in steps.items():
        kind = kind_of(command_of(payload))
        path = FRESHNESS_FILES[0] if kind == "source" else RUN_RESULTS
        if leaves_results(kind) and not (step == max(steps) and path in listed):
            yield Artifact(run.run_id, step, path)


def list_artifacts(client: DbtCloudClient, run: Run) -> list[str]:
    """The paths that dbt Cloud lists now, each once; nothing where it has nothing."""
    try:
        found = client.with_options(deadline=client.until_cancelled()).list_artifacts(run.run_id)
    except DbtCloudNotFoundError:
        return []
    return list(dict.fromkeys(found))


@dataclass
class Lag:
    """The time in which artifacts of a run that is over may still arrive.

    Args:
        run_id: dbt Cloud's id of the run.
        deadline: Its end.
        saw_end: Whether the run ended just now: then one look is not enough.
        log: Where it is told that there is a wait.
    """

    run_id: int
    deadline: Deadline
    saw_end: bool
    log: logging.Logger
    _is_told: bool = False

    def pause(self, attempt: int, cancellation: Cancellation) -> bool:
        """Wait before the next look; False, at once, where no time is left for another.

        Args:
            attempt: The number of looks before the last, for pauses grow.
            cancellation: What ends the pause.

        Raises:
            DbtCloudCancelledError: It was ended so.
        """
        left = self.deadline.remaining()
        if not left:
            return False
        if not self._is_told:
            self._is_told = True
            self.log.info(
                "dbt Cloud run %s: waiting for artifacts that may still arrive, up to %.0f s.",
                self.run_id,
                left,
            )
        self.deadline.clock.sleep(
            min(left, _LONGEST_PAUSE, backoff(attempt, _FIRST_PAUSE)), cancellation
        )
        return True


def lag_of(
    client: DbtCloudClient, run: Run, *, saw_end: bool = False, log: logging.Logger | None = None
) -> Lag:
    """Until when artifacts of a run that is over may still arrive.

    dbt Cloud stores them after the end, and whether ``artifacts_saved`` is set at once is not
    known; so a run that failed in dbt gets some time too, and one that ended long ago gets none.

    Args:
        client: The account's client.
        run: The run.
        saw_end: Whether it ended just now, whatever our clock says of its end.
        log: Where it is told that there is a wait.
    """
    age = datetime.now(timezone.utc) - (run.finished_at or datetime.now(timezone.utc))
    is_recent = saw_end or age < LONG_AGO
    seconds = 0.0
    if is_recent and (run.artifacts_saved or run.is_success):
        seconds = ARTIFACT_LAG
    elif is_recent and dbt_steps_of(run):
        seconds = ARTIFACT_LAG_OF_FAILED
    deadline = Deadline.after(seconds, client.clock)
    return Lag(run.run_id, deadline, saw_end, log or logging.getLogger(__name__))


def despite_lag(lag: Lag | None, cancellation: Cancellation, attempt: Callable[[], T]) -> T:
    """Repeat what finds nothing because dbt Cloud has not stored it yet.

    Args:
        lag: How long; None: not at all.
        cancellation: What ends the pauses.
        attempt: What is repeated while it is answered with 404.
    """
    number = 0
    while True:
        try:
            return attempt()
        except DbtCloudNotFoundError:
            if lag is None or not lag.pause(number, cancellation):
                raise
        number += 1
