"""The jobs of the sandbox's account, and those of the bundled shop project."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import ConfigDict, Field, with_config

from dbt_trigger_dagster.sandbox.account.scripts import Script

PROJECT_ID = 2001
ENVIRONMENT_ID = 3001
FIRST_JOB_ID = 1001
RUN_DURATION_LIMIT_SECONDS = 86400


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class SandboxJob:
    """A dbt Cloud job.

    Attributes:
        name: The job's name.
        id: The job's id; 0 lets the sandbox give one.
        script: What its runs do instead of dbt; of several scripts each run takes the next, and
            the last one repeats. Without a script the job runs dbt.
        execute_steps: The dbt commands, in order.
        generate_docs: Whether a run ends in ``dbt docs generate``.
        run_generate_sources: Whether a run begins with ``dbt source freshness``.
        threads: How many threads dbt uses.
        target_name: The name of the target; ``default`` takes the profile's own.
        timeout_seconds: When a run is cancelled; 0 leaves it to the account's limit of a day.
        description: Free text.
        job_type: As in the API; the runs of a ``ci`` job do not wait for one another.
        project_id: The project that the job belongs to.
        environment_id: The environment that the job runs in.
    """

    name: Annotated[str, Field(min_length=1)]
    id: int = 0
    script: Script | Annotated[tuple[Script, ...], Field(min_length=1)] | None = None
    execute_steps: tuple[str, ...] = ("dbt build",)
    generate_docs: bool = False
    run_generate_sources: bool = False
    threads: Annotated[int, Field(alias="settings.threads", ge=1)] = 4
    target_name: Annotated[str, Field(alias="settings.target_name")] = "default"
    timeout_seconds: Annotated[int, Field(alias="execution.timeout_seconds", ge=0)] = 0
    description: str = ""
    job_type: str = "other"
    project_id: int = PROJECT_ID
    environment_id: int = ENVIRONMENT_ID


SHOP_JOBS = (
    SandboxJob(
        name="Shop nightly build",
        description="Builds, tests and documents the whole shop.",
        generate_docs=True,
        run_generate_sources=True,
    ),
    SandboxJob(
        name="Shop broken build",
        description="One model names a column that does not exist; what depends on it is skipped.",
        execute_steps=("dbt build --vars 'with_broken_model: true'",),
    ),
    SandboxJob(
        name="Shop slow build",
        description="Takes more than a minute, to be waited for or cancelled.",
        execute_steps=("dbt build --vars 'with_slow_models: true'",),
    ),
)


def with_ids(jobs: Iterable[SandboxJob]) -> list[SandboxJob]:
    """Return the jobs with an id for each that has none."""
    numbered = list(jobs)
    taken = {job.id for job in numbered}
    free = (job_id for job_id in range(FIRST_JOB_ID, 2**31) if job_id not in taken)
    return [job if job.id else replace(job, id=next(free)) for job in numbered]
