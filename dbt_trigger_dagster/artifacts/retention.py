"""Deletes the artifacts of old runs; their rows stay, and say when.

Files go first, and then their rows are marked. So what is marked is gone, and what is gone and not
marked, because a pass was interrupted, is marked by the next one. Rows whose files are kept in
another place are left alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import groupby
from typing import Any

from dbt_trigger_dagster.artifacts.deleted_runs import note_deleted
from dbt_trigger_dagster.artifacts.latest import NAMES, published_runs
from dbt_trigger_dagster.artifacts.paths import OF_THE_RUN
from dbt_trigger_dagster.artifacts.report import REPORT
from dbt_trigger_dagster.artifacts.stored_files import stored_path
from dbt_trigger_dagster.dbt_cloud.clock import Cancellation
from dbt_trigger_dagster.dbt_cloud.parallel import in_parallel
from dbt_trigger_dagster.storage.columns import Rows
from dbt_trigger_dagster.storage.errors import StorageError
from dbt_trigger_dagster.storage.file_store import FileStore
from dbt_trigger_dagster.storage.store import Store
from dbt_trigger_dagster.storage.tables import ARTIFACT

_COLUMNS = (*ARTIFACT.primary_key, "uri", "size_bytes", "downloaded_at", "deleted_at")
_ROWS = 20_000
_RUNS_AT_ONCE = 100
_THREADS = 8
_NOT_KNOWN = datetime.max.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Policy:
    """Which artifacts are kept, whatever else there is.

    Attributes:
        max_age: Those that were stored no longer ago.
        keep_last_runs: Those of so many of each job's newest runs that have any.
    """

    max_age: timedelta
    keep_last_runs: int


@dataclass(frozen=True)
class StoredRun:
    """What is stored of a run, as the rows tell.

    Attributes:
        account_id: Its account.
        job_id: Its job.
        run_id: dbt Cloud's id of it.
        stored_at: When the last of its files was complete.
        names: Those of its files that `latest` publishes.
        files: How many files it has.
        size_bytes: Their bytes.
    """

    account_id: int
    job_id: int
    run_id: int
    stored_at: datetime
    names: frozenset[str]
    files: int
    size_bytes: int

    @property
    def job(self) -> tuple[int, int]:
        """The account and the job."""
        return self.account_id, self.job_id

    @property
    def folder(self) -> str:
        """Its folder below the root."""
        return f"{self.account_id}/{self.job_id}/{self.run_id}"


@dataclass(frozen=True)
class Plan:
    """What a pass would do.

    Attributes:
        expired: The runs whose artifacts are to be deleted.
        kept: The other runs that have any.
    """

    expired: Sequence[StoredRun]
    kept: Sequence[StoredRun]


@dataclass(frozen=True)
class Deletion:
    """What became of a run's artifacts.

    Attributes:
        run: The run.
        error: Why some of them are still there; None where all are gone.
    """

    run: StoredRun
    error: StorageError | OSError | None = None


def plan(store: Store, files: FileStore, policy: Policy, now: datetime) -> Plan:
    """Find the runs whose artifacts are old and not needed.

    Of each job there stay the newest runs, and the newest that has left each of the files that are
    published; of all, those whose files are the latest ones.

    Raises:
        StorageError: Rows or files cannot be read.
    """
    runs = sorted(_stored_runs(store, files), key=lambda run: (run.job, -run.run_id))
    needed = published_runs(files)
    for _, of_a_job in groupby(runs, key=lambda run: run.job):
        needed |= {(run.account_id, run.run_id) for run in _newest(list(of_a_job), policy)}

    def is_kept(run: StoredRun) -> bool:
        return run.stored_at >= now - policy.max_age or (run.account_id, run.run_id) in needed

    return Plan([run for run in runs if not is_kept(run)], [run for run in runs if is_kept(run)])


def delete(
    store: Store, files: FileStore, runs: Sequence[StoredRun], now: datetime
) -> Iterator[Deletion]:
    """Delete the artifacts of runs, and mark their rows; some runs at a time.

    Args:
        store: Where the rows are.
        files: Where the files are.
        runs: Whose artifacts go, as they stand in a plan.
        now: What is written down as the time.

    Yields:
        What became of each run, when its rows are marked. One that cannot be deleted does not keep
        the others; one that was stored anew since it was planned is left out.

    Raises:
        StorageError: Rows cannot be read or written; the next pass goes on from there.
    """
    for (account_id, job_id), of_a_job in groupby(runs, key=lambda run: run.job):
        note_deleted(files, account_id, job_id, (run.run_id for run in of_a_job), now)
    for _, of_an_account in groupby(runs, key=lambda run: run.account_id):
        waiting = list(of_an_account)
        while waiting:
            yield from _delete_some(store, files, waiting[:_RUNS_AT_ONCE], now)
            del waiting[:_RUNS_AT_ONCE]


def _delete_some(
    store: Store, files: FileStore, runs: Sequence[StoredRun], now: datetime
) -> list[Deletion]:
    """Delete the artifacts of an account's runs, and mark their rows at once."""
    _, here = _as_planned(store, files, runs)
    done = in_parallel(
        lambda run: _remove(files, run, list(here[run.run_id].values())),
        [run for run in runs if run.run_id in here],
        max_parallel=_THREADS,
        cancellation=Cancellation(),
    )
    # Looked at again: a run that was stored anew meanwhile has rows of its own, and files.
    rows, here = _as_planned(store, files, runs)
    gone = [n for each in done if each.error is None for n in here.get(each.run.run_id, ())]
    store.upsert(rows.picked(gone).filled(deleted_at=now))
    return done


def _as_planned(
    store: Store, files: FileStore, runs: Sequence[StoredRun]
) -> tuple[Rows, dict[int, dict[int, str]]]:
    """The rows of an account's runs, and of each run the paths of its files by its rows' numbers.

    A run that was stored anew since it was planned has none.
    """
    stored_at = {run.run_id: run.stored_at for run in runs}
    rows = store.read(ARTIFACT, account_id=runs[0].account_id, run_id=list(stored_at))
    here: dict[int, dict[int, str]] = {run_id: {} for run_id in stored_at}
    for number, row in enumerate(rows):
        run_id = row["run_id"]
        if run_id in here and row["deleted_at"] is None and (path := stored_path(files, row)):
            here[run_id][number] = path
            if (row["downloaded_at"] or _NOT_KNOWN) > stored_at[run_id]:
                del here[run_id]
    return rows, here


def _stored_runs(store: Store, files: FileStore) -> Iterator[StoredRun]:
    rows = (
        row
        for page in store.pages(ARTIFACT, _COLUMNS, _ROWS)
        for row in Rows(ARTIFACT, page)
        if row["deleted_at"] is None
    )
    # They come in the order of their keys.
    for (account_id, run_id), of_a_run in groupby(
        rows, key=lambda r: (r["account_id"], r["run_id"])
    ):
        here = [(row, path) for row in of_a_run if (path := stored_path(files, row))]
        if here:
            yield _stored_run(account_id, run_id, here)


def _stored_run(
    account_id: int, run_id: int, here: Sequence[tuple[dict[str, Any], str]]
) -> StoredRun:
    rows = [row for row, _ in here]
    return StoredRun(
        account_id=account_id,
        job_id=int(here[0][1].split("/")[1]),
        run_id=run_id,
        stored_at=max(row["downloaded_at"] or _NOT_KNOWN for row in rows),
        names=frozenset(r["path"] for r in rows if r["step"] == OF_THE_RUN) & frozenset(NAMES),
        files=len(rows),
        size_bytes=sum(row["size_bytes"] or 0 for row in rows),
    )


def _newest(runs: Sequence[StoredRun], policy: Policy) -> Iterable[StoredRun]:
    """Of a job's runs, the newest first: those that stay, however old they are."""
    yield from runs[: policy.keep_last_runs]
    for name in NAMES:
        yield from next(([run] for run in runs if name in run.names), [])


def _remove(files: FileStore, run: StoredRun, paths: Sequence[str]) -> Deletion:
    try:
        files.delete([*paths, f"{run.folder}/{REPORT}"])
    except (StorageError, OSError) as error:
        return Deletion(run, error)
    return Deletion(run)
