"""Dagster runs that were terminated when nobody was there to cancel their dbt Cloud run.

While the job is triggered and while its run is waited for, the step itself cancels the run, and
ends with a failure of its own. In between, while the trigger's row is written, a process for the
waiting step is started or its input is loaded, nobody does, nor does a step that is killed; what is
left to do then stands in the events of the Dagster run.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from dbt_trigger_dagster.assets.dagster_run import (
    events_of,
    has_failed_by_itself,
    is_re_executed,
)
from dbt_trigger_dagster.assets.job import JobGraph
from dbt_trigger_dagster.assets.trigger_step import TRIGGERED_TAG, announced
from dbt_trigger_dagster.dbt_cloud.cancel import became, cancel_and_look
from dbt_trigger_dagster.dbt_cloud.client import DbtCloudClient
from dbt_trigger_dagster.dbt_cloud.clock import Deadline
from dbt_trigger_dagster.dbt_cloud.errors import (
    DbtCloudError,
    DbtCloudNotFoundError,
)
from dbt_trigger_dagster.monitor.cursor import INSTANT, changed_since

MOST_AT_ONCE = 100
"""Terminated Dagster runs that a tick looks at; the rest comes with the next ticks."""

_PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
_TELLING = (
    dg.DagsterEventType.ASSET_OBSERVATION,
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    _PLANNED,
)


@dataclass(frozen=True)
class Orphan:
    """A dbt Cloud run that its Dagster run has triggered, and not waited for to an end of its own.

    Attributes:
        run_id: dbt Cloud's id of the run.
        dagster_run: The Dagster run, which a person has terminated.
    """

    run_id: int
    dagster_run: dg.DagsterRun


@dataclass(frozen=True)
class Terminations:
    """The terminated Dagster runs that Dagster's instance knows.

    Attributes:
        instance: Dagster's.
        graphs: Whose runs count.
        looked_at: When the last tick looked, by our clock.
    """

    instance: dg.DagsterInstance
    graphs: Sequence[JobGraph]
    looked_at: datetime

    def since(self, moment: datetime) -> list[dg.RunRecord]:
        """Those that have triggered a job, by the moment of their last change.

        First what has changed since, oldest first; then, for a while, once more what changed
        shortly before: its dbt Cloud run could perhaps not be cancelled.
        """
        found = self._records(ascending=True, updated_after=moment)
        again = changed_since(moment, self.looked_at)
        if again == moment:
            return [*found]
        before = moment + INSTANT  # the moment itself counts
        return [
            *found,
            *self._records(ascending=False, updated_after=again, updated_before=before),
        ]

    def _records(self, *, ascending: bool, **wanted: Any) -> Sequence[dg.RunRecord]:
        terminated = dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.CANCELED], tags={TRIGGERED_TAG: "true"}, **wanted
        )
        return self.instance.get_run_records(
            terminated, limit=MOST_AT_ONCE, order_by="update_timestamp", ascending=ascending
        )

    def orphans_of(self, run: dg.DagsterRun) -> Iterator[Orphan]:
        """The dbt Cloud runs that a Dagster run was to wait for, and to cancel."""
        events = events_of(self.instance, run.run_id, *_TELLING)
        ended = {event.node_name for event in events if _is_end(event)}
        planned = {event.asset_key for event in events if event.event_type is _PLANNED}
        triggered = announced(events)
        for graph in self.graphs:
            run_id = triggered.get(graph.trigger_response)
            waits = graph.op_name not in ended and planned & set(graph.landed_keys)
            if run_id is not None and waits and _is_to_cancel(run, graph):
                yield Orphan(run_id, run)

    def is_taken_over(self, orphan: Orphan) -> bool:
        """Whether somebody has re-executed its Dagster run, and may wait for it there."""
        return is_re_executed(self.instance, orphan.dagster_run)


def _is_end(event: dg.DagsterEvent) -> bool:
    """Whether a step came to an end of its own: what there was to cancel, it has cancelled."""
    return event.is_step_success or (event.is_step_failure and has_failed_by_itself(event))


def _is_to_cancel(run: dg.DagsterRun, graph: JobGraph) -> bool:
    """What the waiting step's config says of it."""
    config: Any = run.run_config
    for key in ("ops", graph.op_name, "config"):
        config = config.get(key) or {}
    return config.get("cancel_on_termination", graph.cancels_on_termination) is not False


def cancel_orphans(
    client: DbtCloudClient,
    terminations: Terminations,
    seen: datetime,
    deadline: Deadline,
    log: logging.Logger,
) -> datetime:
    """Cancel what terminated Dagster runs have left alone, as far as the time goes.

    Args:
        client: The account's client.
        terminations: The terminated Dagster runs.
        seen: The last change of one that has been dealt with.
        deadline: When to give up.
        log: The tick's.

    Returns:
        The last change of one that has been dealt with now.
    """
    for record in terminations.since(seen):
        if deadline.is_over:
            break
        for orphan in terminations.orphans_of(record.dagster_run):
            _cancel(client.with_options(deadline=deadline), terminations, orphan, log)
        seen = max(seen, record.update_timestamp)
    return seen


def _cancel(
    client: DbtCloudClient,
    terminations: Terminations,
    orphan: Orphan,
    log: logging.Logger,
) -> None:
    """Cancel one; only what was done is told in the Dagster run's own log."""
    dagster_run = orphan.dagster_run
    try:
        run = client.get_run(orphan.run_id)
        if run.is_over or terminations.is_taken_over(orphan):
            return
        run = cancel_and_look(client, orphan.run_id)
    except DbtCloudNotFoundError:
        return  # it is another account's, or gone
    except DbtCloudError as error:
        log.warning(
            "dbt Cloud run %s of the terminated Dagster run %s could not be cancelled: %s",
            orphan.run_id,
            dagster_run.run_id,
            error,
        )
        return
    told = f"dbt Cloud run {run.run_id} {became(run)}: {run.href}"
    log.warning(
        "Dagster run %s was terminated before it waited to an end. %s", dagster_run.run_id, told
    )
    terminations.instance.report_engine_event(
        f"This run was terminated before it waited to an end. {told}", dagster_run
    )
