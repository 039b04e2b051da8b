"""dbt Cloud's Administrative API v2, one method for each endpoint that this package needs.

Knows no Dagster. Requests without effects are repeated on transient errors; those that start a
run are sent again only when they never left, because a trigger that is sent
twice is two runs. Facts about the API: docs.getdbt.com/dbt-cloud/api-v2, and where the live
service differs, what public clients recorded.
"""

import difflib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO
from urllib.parse import quote

from dbt_trigger_dagster.dbt_cloud.api import (
    PAGE_SIZE,
    AccountApi,
    check_account,
    check_requests,
    data_as,
)
from dbt_trigger_dagster.dbt_cloud.clock import Clock, SystemClock
from dbt_trigger_dagster.dbt_cloud.downloads import Download, into
from dbt_trigger_dagster.dbt_cloud.errors import DbtCloudJobNameError
from dbt_trigger_dagster.dbt_cloud.models import Job, Run, RunStep
from dbt_trigger_dagster.dbt_cloud.parameters import JobFilter, RunFilter, TriggerRequest
from dbt_trigger_dagster.dbt_cloud.retries import RetryPolicy, is_transient, was_never_sent
from dbt_trigger_dagster.dbt_cloud.transport import Transport

__version__ = "0.1.0"

_CANDIDATES = 5


class DbtCloudClient(AccountApi):
    """A client for one dbt Cloud account.

    Safe to share between threads once made. Use it as a context manager, or `close` it.

    Args:
        account_id: The account's id.
        token: A service token or a personal access token.
        access_url: The account's own host; there is no default, because hosts differ by account.
        request_timeout: Seconds to wait for a connection, and for each piece of an answer.
        request_max_retries: How often a request is repeated at most.
        request_retry_delay: Longest pause in seconds before the first repetition; doubles.
        log: Where repetitions are told.
        clock: What pauses are slept on.

    Raises:
        SettingError: A setting cannot be used; the message says which and why.
    """

    def __init__(
        self,
        *,
        account_id: int,
        token: str,
        access_url: str,
        request_timeout: float = 30.0,
        request_max_retries: int = 5,
        request_retry_delay: float = 0.5,
        log: logging.Logger | None = None,
        clock: Clock | None = None,
    ) -> None:
        check_account(account_id)
        check_requests(request_timeout, request_max_retries, request_retry_delay)
        transport = Transport(
            access_url=access_url,
            token=token,
            request_timeout=request_timeout,
            user_agent=f"dbt_trigger_dagster/{__version__}",
        )
        retry_policy = RetryPolicy(
            max_retries=request_max_retries,
            delay=request_retry_delay,
            clock=clock or SystemClock(),
            log=log or logging.getLogger(__name__),
        )
        super().__init__(transport, account_id, retry_policy)

    def get_account(self) -> Mapping[str, Any]:
        """The account's own payload; a cheap way to check the token and the host."""
        account: Mapping[str, Any] = self._ask("GET", "", read=data_as(_as_is))
        return account

    def list_jobs(
        self, job_filter: JobFilter | None = None, *, include_related: Sequence[str] = ()
    ) -> Iterator[Job]:
        """All jobs that a filter lets through, page by page.

        Args:
            job_filter: Which jobs.
            include_related: Any of ``project``, ``environment``, ``most_recent_run``.
        """
        query = {"order_by": "id", **(job_filter or JobFilter()).as_query()}
        query |= _include(include_related)
        return self._pages("jobs/", query, read=Job.from_payload)

    def get_job(self, job_id: int) -> Job:
        """One job by its id."""
        return self._ask("GET", f"jobs/{job_id}/", read=data_as(Job.from_payload))

    def find_job(self, name: str) -> Job:
        """The one active job with exactly this name.

        Raises:
            DbtCloudJobNameError: There is none, or more than one; the message lists candidates.
        """
        found = [job for job in self.list_jobs(JobFilter(name__icontains=name)) if job.name == name]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(str(job.job_id) for job in found)
            raise DbtCloudJobNameError(
                f"{len(found)} jobs are named {name!r}: give job_id, one of {ids}."
            )
        raise DbtCloudJobNameError(f"No job is named {name!r}. {self._nearest_jobs(name)}")

    def _nearest_jobs(self, name: str) -> str:
        ids = {job.name: job.job_id for job in self.list_jobs()}
        nearest = difflib.get_close_matches(name, ids, n=_CANDIDATES, cutoff=0.0)
        if not nearest:
            return "The token sees no jobs in this account."
        return "The nearest names: " + ", ".join(f"{near!r} ({ids[near]})" for near in nearest)

    def trigger_run(self, job_id: int, request: TriggerRequest) -> Run:
        """Start a run of a job.

        Raises:
            DbtCloudRequestError: With ``may_have_been_sent``, the run may have started.
        """
        return self._start(f"jobs/{job_id}/run/", body=request.as_body())

    def rerun_job(self, job_id: int) -> Run:
        """Retry the job's last run from its point of failure, or start a new run if it was good."""
        return self._start(f"jobs/{job_id}/rerun/")

    def list_runs(
        self,
        run_filter: RunFilter | None = None,
        *,
        order_by: str = "id",
        include_related: Sequence[str] = (),
        page_size: int = PAGE_SIZE,
        offset: int = 0,
    ) -> Iterator[Run]:
        """All runs that a filter lets through, page by page: stop asking, and no more is fetched.

        Args:
            run_filter: Which runs.
            order_by: ``id``, ``created_at`` or ``finished_at``; newest first with a leading ``-``.
            include_related: Any of ``trigger``, ``job``, ``audit``, ``debug_logs``.
            page_size: Runs in one answer, at most `PAGE_SIZE`.
            offset: How many of the first runs are left out.
        """
        query = {"order_by": order_by, **(run_filter or RunFilter()).as_query()}
        query |= _include(include_related)
        return self._pages(
            "runs/",
            query,
            read=self._as_run,
            page_size=page_size,
            offset=offset,
        )

    def get_run(self, run_id: int, *, include_related: Sequence[str] = ()) -> Run:
        """One run by its id.

        Args:
            run_id: Which.
            include_related: Any of ``trigger``, ``job``, ``environment``, ``repository``,
                ``run_steps``, ``run_retries``, ``audit``, ``debug_logs``.
        """
        return self._ask(
            "GET",
            f"runs/{run_id}/",
            read=data_as(lambda payload: _checked(self._as_run(payload), run_id)),
            query=_include(include_related),
        )

    def cancel_run(self, run_id: int) -> Run:
        """Cancel a run. To cancel twice does no harm, so this is repeated on transient errors."""
        return self._ask(
            "POST",
            f"runs/{run_id}/cancel/",
            read=data_as(lambda payload: _checked(self._as_run(payload), run_id)),
            retryable=is_transient,
        )

    def retry_run(self, run_id: int) -> Run:
        """Start a new run that continues a failed one from its point of failure.

        Raises:
            DbtCloudRequestError: With ``may_have_been_sent``, the new run may have started.
        """
        return self._ask(
            "POST",
            f"runs/{run_id}/retry/",
            read=data_as(lambda payload: _checked_retry(self._as_run(payload), run_id)),
            retryable=was_never_sent,
        )

    def get_step(self, step_id: int) -> RunStep:
        """One step of a run by its id, with its logs."""
        return self._ask("GET", f"steps/{step_id}/", read=data_as(RunStep.from_payload))

    def list_artifacts(self, run_id: int) -> list[str]:
        """Paths of the artifacts of a run's last step, as dbt Cloud lists them.

        Which step counts cannot be chosen: the API ignores ``step`` here.
        """
        return self._ask("GET", f"runs/{run_id}/artifacts/", read=data_as(_as_paths))

    def download_artifact(
        self,
        run_id: int,
        path: str,
        target: BinaryIO,
        *,
        step: int | None = None,
    ) -> Download:
        """Stream an artifact's bytes, as they are, into a file.

        Each attempt starts the file anew, so after a return it holds the whole artifact.

        Args:
            run_id: The run.
            path: The artifact's path, as `list_artifacts` gives it.
            target: An empty binary file that can seek.
            step: Number of a step (from 1) whose artifact is wanted instead of the last one's.

        Raises:
            DbtCloudRequestError: Fewer bytes arrived than were announced, again and again.
        """
        return self.stream_artifact(run_id, path, into(target), step=step)

    def stream_artifact(
        self,
        run_id: int,
        path: str,
        keep: Callable[[Iterator[bytes]], object],
        *,
        step: int | None = None,
    ) -> Download:
        """Stream an artifact's bytes, as they are, to whoever keeps them.

        Args:
            run_id: The run.
            path: The artifact's path, as `list_artifacts` gives it.
            keep: Gets the chunks of one attempt and reads them all; it is called anew for each
                attempt. Where an attempt breaks off, the chunks end in an error: then nothing that
                it made may stay.
            step: Number of a step (from 1) whose artifact is wanted instead of the last one's.

        Raises:
            DbtCloudRequestError: Fewer bytes arrived than were announced, again and again.
        """
        return self._download(
            f"runs/{run_id}/artifacts/{quote(path, safe='/')}",
            keep,
            query=None if step is None else {"step": str(step)},
        )

    def _start(self, path: str, *, body: Mapping[str, Any] | None = None) -> Run:
        return self._ask(
            "POST", path, read=data_as(self._as_run), retryable=was_never_sent, body=body
        )

    def _as_run(self, payload: Mapping[str, Any]) -> Run:
        """A run, which is the account's, whatever the answer says or does not say."""
        account_id = payload.get("account_id") or self.account_id
        return Run.from_payload({**payload, "account_id": account_id})


def _checked(run: Run, run_id: int) -> Run:
    """The run that was asked for; an answer about another one is none."""
    if run.run_id != run_id:
        raise ValueError(f"it is about run {run.run_id}")
    return run


def _checked_retry(run: Run, run_id: int) -> Run:
    """A new run; it names the run that it continues, if it names one."""
    if run.run_id == run_id or run.retrying_run_id not in {None, run_id}:
        raise ValueError(f"it is about run {run.run_id}, which retries {run.retrying_run_id}")
    return run


def _include(related: Sequence[str]) -> dict[str, str]:
    return {"include_related": ",".join(related)} if related else {}


def _as_is(payload: Any) -> Any:
    return payload


def _as_paths(payload: Any) -> list[str]:
    return [str(path) for path in payload or ()]
