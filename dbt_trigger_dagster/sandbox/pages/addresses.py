"""Where the pages are: as in dbt Cloud, below ``/deploy/``."""

from urllib.parse import quote

from dbt_trigger_dagster.sandbox.account.jobs import SandboxJob
from dbt_trigger_dagster.sandbox.account.runs import Run


def account_address(account_id: int) -> str:
    """Return the path of the account's page."""
    return f"/deploy/{account_id}/"


def job_address(account_id: int, job: SandboxJob) -> str:
    """Return the path of a job's page."""
    return f"/deploy/{account_id}/projects/{job.project_id}/jobs/{job.id}/"


def run_address(account_id: int, run: Run) -> str:
    """Return the path of a run's page."""
    return f"/deploy/{account_id}/projects/{run.job.project_id}/runs/{run.id}/"


def artifact_address(account_id: int, run: Run, path: str) -> str:
    """Return the path of an artifact that can be had without a token."""
    return f"{run_address(account_id, run)}artifacts/{quote(path)}"
