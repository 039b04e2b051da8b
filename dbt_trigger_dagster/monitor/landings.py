"""The Dagster runs by which a monitor lands dbt Cloud runs: requested, under way, failed.

What they are to do stands in their run config, and whose they are in a tag, so that Dagster's
instance is all the memory that is needed.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from dbt_trigger_dagster.assets.continuation import RETRIES_TAG, retried_in
from dbt_trigger_dagster.assets.dagster_run import events_of, has_failed_by_itself
from dbt_trigger_dagster.assets.job import JOB_ID_TAG, JobGraph

MONITOR_TAG = "dbt_trigger_dagster/monitor"
"""Names the monitor that requested a Dagster run."""

ATTEMPT_TAG = "dbt_trigger_dagster/attempt"
"""The number of the try to land these dbt Cloud runs; the first is 1."""

GIVEN_UP_TAG = "dbt_trigger_dagster/given_up"
"""Is ``true`` on the last Dagster run that tried to land what is left to people, once they know."""

BACKOFF = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120))
"""How long after a landing failed the next try begins; after the last, people are asked."""

STALE_AFTER = timedelta(hours=6)
"""A landing that has not ended after so long has lost its process, and nobody has noticed."""

STUCK_AFTER = timedelta(days=1)
"""A landing that has not begun after so long, in a queue that does not move, blocks nobody."""

_HALVED = 2
_WAITING = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
)
_UNDER_WAY = (
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
_TERMINATED = (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
_FAILED = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


@dataclass(frozen=True)
class Due:
    """A dbt Cloud run that is to be landed.

    Attributes:
        run_id: Its id.
        graph: Whose it is.
        attempt: The number of the try; the first is 1.
        raise_on_failed_run: Whether a dbt run that ended badly fails its landing; None leaves it
            to the config of the graph.
        job_id: Its job, where it is known.
        failed_with: The Dagster run that failed to land it, where one did.
    """

    run_id: int
    graph: JobGraph
    attempt: int = 1
    raise_on_failed_run: bool | None = None
    job_id: int | None = None
    failed_with: str = ""


@dataclass(frozen=True)
class RequestedRun:
    """A Dagster run that was to land dbt Cloud runs.

    Attributes:
        dagster_run_id: Its id.
        run_ids: The dbt Cloud runs.
        op_name: The op that was to land them.
        attempt: The number of the try.
        updated_at: When it last changed, by the clock of Dagster's instance.
        was_terminated: Whether a person has ended it.
        raise_on_failed_run: As it was told.
        is_given_up: Whether people have been told that nobody lands its dbt Cloud runs.
    """

    dagster_run_id: str
    run_ids: tuple[int, ...]
    op_name: str
    attempt: int
    updated_at: datetime
    was_terminated: bool = False
    raise_on_failed_run: bool | None = None
    is_given_up: bool = False

    @property
    def was_last(self) -> bool:
        """Whether no other try follows."""
        return self.attempt > len(BACKOFF)

    def again_at(self) -> datetime:
        """When the next try is due."""
        return self.updated_at + BACKOFF[self.attempt - 1]


class PastAttempts:
    """What has been tried for the graphs that there still are.

    Args:
        landings: All that are known.
        op_names: The graphs' ops. What another op was to land is as if nobody had tried to.

    Attributes:
        by_id: The landings by the Dagster run's id.
        attempts: Of each dbt Cloud run, by id, the last attempt.
    """

    def __init__(self, landings: Iterable[RequestedRun], op_names: Collection[str]) -> None:
        ours = [each for each in landings if each.op_name in op_names]
        self.by_id = {each.dagster_run_id: each for each in ours}
        self.attempts: dict[int, RequestedRun] = {}
        for landing in sorted(ours, key=lambda each: each.attempt):
            self.attempts.update(dict.fromkeys(landing.run_ids, landing))


@dataclass(frozen=True)
class RequestedRuns:
    """The Dagster runs that one monitor has requested, as Dagster's instance knows them."""

    instance: dg.DagsterInstance
    monitor: str

    def in_flight(self, now: datetime) -> tuple[set[int], list[RequestedRun]]:
        """The dbt Cloud runs that are being landed, and landings that must have died."""
        records = self._records(statuses=[*_WAITING, *_UNDER_WAY])
        stale = [each for each in records if _is_stale(each, now)]
        alive = [each for each in records if each not in stale]
        run_ids = {run_id for each in alive for run_id in _as_requested(each).run_ids}
        return run_ids, [_as_requested(each) for each in stale]

    def failed_since(self, moment: datetime) -> list[RequestedRun]:
        """Landings that did not succeed and have changed since a moment."""
        return [*map(_as_requested, self._records(statuses=_FAILED, updated_after=moment))]

    def broke_off(self, landing: RequestedRun) -> bool:
        """Whether a landing was ended from outside, perhaps between rows and artifacts.

        Its process was killed or drained, or its rows could not be written. A landing that comes
        to its end says what is missing with a failure of its own; one that a person has terminated
        is to stay so.
        """
        if landing.was_terminated:
            return False
        failures = events_of(
            self.instance, landing.dagster_run_id, dg.DagsterEventType.STEP_FAILURE
        )
        return not any(map(has_failed_by_itself, failures))

    def retried(self) -> set[int]:
        """The dbt Cloud runs that failed, and that steps which still wait have retried.

        Whoever requested their Dagster runs.
        """
        retrying = dg.RunsFilter(tags={RETRIES_TAG: "true"}, statuses=[*_UNDER_WAY])
        return {
            run_id for run in self.instance.get_runs(retrying) for run_id in retried_in(run.tags)
        }

    def known(self, dagster_run_ids: Collection[str]) -> dict[str, bool]:
        """Those of some Dagster runs that the instance knows; whether a person has ended each."""
        if not dagster_run_ids:
            return {}
        runs = self.instance.get_runs(dg.RunsFilter(run_ids=sorted(dagster_run_ids)))
        return {run.run_id: run.status in _TERMINATED for run in runs}

    def _records(self, **wanted: Any) -> Sequence[dg.RunRecord]:
        return self.instance.get_run_records(
            dg.RunsFilter(tags={MONITOR_TAG: self.monitor}, **wanted)
        )

    def note_given_up(self, landings: Iterable[RequestedRun]) -> None:
        """Note that people have been told of some landings."""
        for dagster_run_id in {each.dagster_run_id for each in landings}:
            self.instance.add_run_tags(dagster_run_id, {GIVEN_UP_TAG: "true"})

    def request(self, batch: Sequence[Due]) -> dg.RunRequest:
        """Request a Dagster run that lands a batch."""
        run_ids = [due.run_id for due in batch]
        graph, attempt = batch[0].graph, batch[0].attempt
        config = {"run_ids": run_ids, "wait_for_result": True, "retry_failed_run": False}
        if batch[0].raise_on_failed_run is not None:
            config["raise_on_failed_run"] = batch[0].raise_on_failed_run
        job_ids = {due.job_id for due in batch}
        job = {JOB_ID_TAG: str(*job_ids)} if len(job_ids) == 1 and None not in job_ids else {}
        return dg.RunRequest(
            run_key=_run_key(graph.op_name, run_ids, attempt),
            run_config={"ops": {graph.op_name: {"config": config}}},
            asset_selection=graph.landed_keys,
            tags={MONITOR_TAG: self.monitor, ATTEMPT_TAG: str(attempt), **job},
        )


def batches(due: Iterable[Due], size: int) -> Iterator[list[Due]]:
    """Runs of one graph and one attempt together, in the order in which they came.

    A batch that failed is halved, and then landed one by one: one run that cannot be landed costs
    only itself.
    """
    groups: dict[tuple[object, ...], list[Due]] = {}
    for each in due:
        alike = (each.graph.op_name, each.attempt, each.raise_on_failed_run, each.failed_with)
        groups.setdefault(alike, []).append(each)
    for group in groups.values():
        most = batch_size(group[0].attempt, size, len(group))
        yield from (group[start : start + most] for start in range(0, len(group), most))


def batch_size(attempt: int, size: int, count: int) -> int:
    """How many runs one landing has at most.

    Args:
        attempt: The number of the try.
        size: What the first try had at most.
        count: How many runs there are.
    """
    if attempt == 1:
        return size
    return min(size, (count + 1) // 2) if attempt == _HALVED else 1


def _run_key(op_name: str, run_ids: Sequence[int], attempt: int) -> str:
    """The same for the same wish, so that Dagster starts no second run for it."""
    digest = hashlib.sha256(",".join(map(str, sorted(run_ids))).encode()).hexdigest()[:16]
    return f"{op_name}:{run_ids[0]}+{len(run_ids) - 1}:{digest}:{attempt}"


def _is_stale(record: dg.RunRecord, now: datetime) -> bool:
    waits = record.dagster_run.status in _WAITING
    return now - record.update_timestamp > (STUCK_AFTER if waits else STALE_AFTER)


def _as_requested(record: dg.RunRecord) -> RequestedRun:
    op_name, run_ids, raises = _wanted(record.dagster_run.run_config)
    attempt = record.dagster_run.tags.get(ATTEMPT_TAG, "")
    return RequestedRun(
        dagster_run_id=record.dagster_run.run_id,
        run_ids=run_ids,
        op_name=op_name,
        attempt=max(1, int(attempt)) if attempt.isdecimal() else 1,
        updated_at=record.update_timestamp,
        was_terminated=record.dagster_run.status is dg.DagsterRunStatus.CANCELED,
        raise_on_failed_run=raises,
        is_given_up=GIVEN_UP_TAG in record.dagster_run.tags,
    )


def _wanted(run_config: Mapping[str, Any]) -> tuple[str, tuple[int, ...], bool | None]:
    """What a landing is to do. A person may have launched it again with another config."""
    ops = run_config.get("ops")
    for op_name, op in ops.items() if isinstance(ops, Mapping) else ():
        config = op.get("config") if isinstance(op, Mapping) else None
        run_ids = config.get("run_ids") if isinstance(config, Mapping) else None
        if isinstance(run_ids, Sequence) and all(type(each) is int for each in run_ids):
            raises = config.get("raise_on_failed_run") if isinstance(config, Mapping) else None
            return op_name, tuple(run_ids), raises if isinstance(raises, bool) else None
    return "", (), None
