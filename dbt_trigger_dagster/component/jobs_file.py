"""An account's jobs as a file that describes them: what a person starts from."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from dbt_trigger_dagster.dbt_cloud.models import Job

_NOT_IN_KEYS = re.compile(r"[^a-z0-9]+")


def jobs_file(jobs: Iterable[Job]) -> str:
    """A ``jobs.yaml`` for ``DBT_TRIGGER_JOBS``: each job with its id, a key and what it is."""
    return "jobs:\n" + _jobs(jobs, indent=2)


def defs_file(jobs: Iterable[Job]) -> str:
    """A ``defs.yaml`` for dg, with the same jobs."""
    return (
        "type: dbt_trigger_dagster.DbtCloudJobsComponent\n\n"
        "attributes:\n"
        "  workspace: {}\n"
        "  storage: {}\n"
        "  monitor: {}\n"
        "  jobs:\n" + _jobs(jobs, indent=4)
    )


def _jobs(jobs: Iterable[Job], *, indent: int) -> str:
    blank = " " * indent
    keys: set[str] = set()
    lines = []
    for job in jobs:
        key = key_of(job)
        while key in keys:  # another job's name may be what this one would get
            key = f"{key}_{job.job_id}"
        keys.add(key)
        lines += [f"{blank}# {line}" for line in _comments(job)]
        # A group makes the job a box of its own in the lineage.
        named = yaml.safe_dump({"key": key, "group": key}, sort_keys=False).splitlines()
        lines += [f"{blank}- job_id: {job.job_id}", *(f"{blank}  {each}" for each in named), ""]
    return "\n".join(lines).rstrip() + "\n"


def key_of(job: Job) -> str:
    """A key made of a job's name; of its id, where the name has no letters or digits."""
    return _NOT_IN_KEYS.sub("_", job.name.lower()).strip("_") or f"job_{job.job_id}"


def _comments(job: Job) -> list[str]:
    """What the job is called, where it runs, and when dbt Cloud itself starts it."""
    comments = [json.dumps(job.name, ensure_ascii=True)]
    where = [
        f"{what} {json.dumps(name, ensure_ascii=True)}"
        for what in ("project", "environment")
        if (name := name_in(job.payload, what)) is not None
    ]
    if where:
        comments.append(", ".join(where))
    cron = cron_of(job)
    if cron is not None:
        comments.append(
            f"dbt Cloud's own schedule: {json.dumps(cron, ensure_ascii=True)}. To have Dagster "
            "start it instead, switch that off and set cron here."
        )
    return comments


def name_in(payload: Mapping[str, Any], what: str) -> str | None:
    """The name of a job's project or environment, where the API told of it."""
    related = payload.get(what)
    name = related.get("name") if isinstance(related, Mapping) else None
    return name if isinstance(name, str) else None


def cron_of(job: Job) -> str | None:
    """When dbt Cloud's own scheduler starts a job; None where it does not."""
    triggers, schedule = job.payload.get("triggers"), job.payload.get("schedule")
    if not isinstance(triggers, Mapping) or not isinstance(schedule, Mapping):
        return None
    cron = schedule.get("cron")
    return cron if triggers.get("schedule") and isinstance(cron, str) else None
