"""What a deployment tells of itself where a test of it has failed: its runs, rows, files, logs."""

import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from unittest.mock import patch

import dagster as dg

from dbt_trigger_dagster_tests.deployments import Deployment

_AS_EVER = re.compile(r"\b(DEBUG|INFO)\b")


@contextmanager
def post_mortem(deployment: Deployment, kept: Path) -> Iterator[None]:
    """Print all that is needed to judge a failure within; pytest shows it.

    Args:
        deployment: PostgreSQL and the bucket must still be there; all else may have ended.
        kept: The folder that gets what is printed, and the whole logs.
    """
    try:
        yield
    except BaseException:
        for log in deployment.logs():
            shutil.copy(log, kept)
        told = "\n".join(_lines(deployment))
        (kept / "post_mortem.txt").write_text(told)
        sys.stdout.write(f"{told}\n\n== this, and the whole logs: {kept}\n")
        raise


def _lines(deployment: Deployment) -> Iterator[str]:
    with (
        patch.dict(os.environ, deployment.environment),  # the settings name a variable
        dg.DagsterInstance.from_config(deployment.environment["DAGSTER_HOME"]) as instance,
    ):
        yield from _of_runs(instance)
    yield from _of_what_is_kept(deployment)
    for log in deployment.logs():
        yield f"\n== {log.name}, but for what goes as ever"
        yield from [line for line in log.read_text().splitlines() if not _AS_EVER.search(line)]


def _of_runs(instance: dg.DagsterInstance) -> Iterator[str]:
    """Each Dagster run with its tags, oldest first; then the events of those that are not good."""
    records = instance.get_run_records(ascending=True)
    yield "\n== Dagster runs"
    for record in records:
        run = record.dagster_run
        yield f"{_clock(record.create_timestamp.timestamp())} {run.run_id} {run.status.value}"
        yield f"    {run.job_name} {dict(sorted(run.tags.items()))}"
    for run in (record.dagster_run for record in records):
        if run.status != dg.DagsterRunStatus.SUCCESS:
            yield f"\n== {run.status.value}: events of {run.run_id}"
            for event in instance.all_logs(run.run_id):
                yield from _of_event(event)


def _of_event(event: dg.EventLogEntry) -> Iterator[str]:
    kind = event.dagster_event_type.value if event.dagster_event_type else "log"
    yield f"{_clock(event.timestamp)} {kind} {event.message}"
    error = getattr(event.dagster_event and event.dagster_event.event_specific_data, "error", None)
    if error:
        yield str(error)


def _of_what_is_kept(deployment: Deployment) -> Iterator[str]:
    """Which dbt runs have rows and files, and of which Dagster run."""
    for table in ("dbt_cloud_trigger", "dbt_cloud_run"):
        yield f"\n== {table}"
        for row in deployment.rows(table):
            names = ("id", "job_definition_id", "status_humanized", "dagster_run_id", "loaded_at")
            yield " ".join(f"{name}={row[name]}" for name in names)
    yield "\n== files"
    folders = Counter(path.rpartition("/")[0] for path in deployment.files())
    yield from (f"{count} in {folder}" for folder, count in sorted(folders.items()))


def _clock(timestamp: float) -> str:
    """The time of day, as in the logs of the processes, but for the milliseconds."""
    return datetime.fromtimestamp(timestamp).strftime("%H:%M:%S.%f")  # noqa: DTZ006  # likewise
