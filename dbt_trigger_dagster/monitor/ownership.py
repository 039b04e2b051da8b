"""Whose a finished dbt Cloud run is: which job's assets hold what it leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from dbt_trigger_dagster.assets.job import JobGraph
from dbt_trigger_dagster.dbt_cloud.marker import marker_key
from dbt_trigger_dagster.dbt_cloud.models import Run


def is_of(run: Run, graph: JobGraph) -> bool:
    """Whether a run is one of a graph's job, as far as that is known now."""
    if graph.job.job_id is not None:
        return graph.job.job_id == run.job_id
    return graph.job.job_name is not None and graph.job.job_name == run.job_name


def dagster_run_id_of(run: Run) -> str | None:
    """The Dagster run that triggered a run, as its marker says."""
    key = marker_key(run)
    return None if key is None else key.partition("/")[0]


@dataclass(frozen=True)
class Records:
    """What is known of dbt Cloud runs beside what dbt Cloud says.

    Attributes:
        triggered: Asset keys of those that `dbt_cloud_trigger` holds.
        landed: Asset keys of those that `dbt_cloud_run` holds.
        dagster_run_ids: Dagster runs that this instance knows; whether a person has ended each.
    """

    triggered: Mapping[int, str]
    landed: Mapping[int, str]
    dagster_run_ids: Mapping[str, bool]


class _Owner(Enum):
    SOMEBODY_ELSE = "other assets, in these tables"
    NOBODY = "none that is known"


@dataclass(frozen=True)
class Ownership:
    """Decides whose runs are.

    Attributes:
        graphs: The monitor's.
        records: What is known.
        listed: Runs that dbt Cloud told of, by id.
        include_external_runs: Whether runs that nobody triggered from Dagster belong to their job.
    """

    graphs: Sequence[JobGraph]
    records: Records
    listed: Mapping[int, Run]
    include_external_runs: bool

    def graph_of(self, run: Run) -> JobGraph | None:
        """The graph that lands a run; None where no graph of the monitor is its own."""
        owner = self._owner(run)
        if owner is _Owner.NOBODY and self.include_external_runs:
            owner = self._graph_of_job(run, "")
        return owner if isinstance(owner, JobGraph) else None

    def _owner(self, run: Run) -> JobGraph | _Owner:
        """Whose a run is, by its own records or those of the run that it retries."""
        seen: set[int] = set()
        current: Run | None = run
        while current is not None and current.run_id not in seen:
            seen.add(current.run_id)
            owner = self._recorded(current.run_id) or self._marked(current)
            if owner is not None:
                return owner
            retried = current.retrying_run_id
            if retried is None:
                return _Owner.NOBODY
            recorded = self._recorded(retried)
            if recorded is not None:
                return recorded
            current = self.listed.get(retried)
        return _Owner.NOBODY

    def _recorded(self, run_id: int) -> JobGraph | _Owner | None:
        """Whose a run is by the tables; None where they do not hold it."""
        triggered_by = self.records.triggered.get(run_id)
        landed_by = self.records.landed.get(run_id)
        if triggered_by is None and landed_by is None:
            return None
        for graph in self.graphs:
            if triggered_by == graph.trigger_response:
                return graph
            if triggered_by is None and landed_by == graph.run_result:
                return graph
        return _Owner.SOMEBODY_ELSE

    def _marked(self, run: Run) -> JobGraph | _Owner | None:
        """Whose a run is by the marker of a Dagster run that this instance knows."""
        key = marker_key(run)
        if key is None or dagster_run_id_of(run) not in self.records.dagster_run_ids:
            return None
        return self._graph_of_job(run, key)

    def _graph_of_job(self, run: Run, key: str) -> JobGraph | _Owner:
        """The graph of a run's job; of several, the one that the marker's key names, or the first.

        Not one of another job, whatever the key says: another code location may have its like.
        """
        of_job = [graph for graph in self.graphs if is_of(run, graph)]
        named = [graph for graph in of_job if "/".join(graph.prefix) == key.partition("/")[2]]
        return next(iter([*named, *of_job]), _Owner.SOMEBODY_ELSE)
