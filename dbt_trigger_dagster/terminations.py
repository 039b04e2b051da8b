"""Dagster runs that were terminated when nobody was there to cancel their dbt Cloud run.

While the job is triggered and while its run is waited for, the step itself cancels the run. In
between, and before the waiting step's process has started, no code of ours runs in that Dagster
run; what is left to do then stands in its events.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from dbt_trigger_dagster.ownership import JobGraph

_RUN_ID = "dbt_cloud_run_id"
_TELLING = {dg.DagsterEventType.STEP_START, dg.DagsterEventType.ASSET_MATERIALIZATION}


@dataclass(frozen=True)
class Orphan:
    """A dbt Cloud run that its Dagster run has triggered, and never come to wait for.

    Attributes:
        run_id: dbt Cloud's id of the run.
        dagster_run: The Dagster run, which a person has terminated.
    """

    run_id: int
    dagster_run: dg.DagsterRun


@dataclass(frozen=True)
class Terminations:
    """The terminated Dagster runs that Dagster's instance knows."""

    instance: dg.DagsterInstance
    graphs: Sequence[JobGraph]

    def since(self, moment: datetime) -> Sequence[dg.RunRecord]:
        """Those that have changed since a moment, by the clock of the instance."""
        return self.instance.get_run_records(
            dg.RunsFilter(statuses=[dg.DagsterRunStatus.CANCELED], updated_after=moment)
        )

    def orphans_of(self, run: dg.DagsterRun) -> Iterator[Orphan]:
        """The dbt Cloud runs that a Dagster run has left alone, and was to cancel."""
        logged = self.instance.get_records_for_run(run.run_id, of_type=_TELLING).records
        events = [record.event_log_entry.dagster_event for record in logged]
        begun = {event.node_name for event in events if event and event.is_step_start}
        triggered = {
            event.asset_key.to_user_string(): event.materialization.metadata.get(_RUN_ID)
            for event in events
            if event and event.is_step_materialization and event.asset_key
        }
        for graph in self.graphs:
            run_id: Any = getattr(triggered.get(graph.trigger_response), "value", None)
            if run_id and graph.op_name not in begun and _is_to_cancel(run, graph):
                yield Orphan(int(run_id), run)


def _is_to_cancel(run: dg.DagsterRun, graph: JobGraph) -> bool:
    """What the waiting step's config says of it."""
    config: Any = run.run_config
    for key in ("ops", graph.op_name, "config"):
        config = config.get(key) or {}
    return config.get("cancel_on_termination", graph.cancels_on_termination) is not False
