"""The tables of runs and files: every column's name, type, meaning and source.

Those of what happens inside runs stand in `node_tables`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster.storage.columns import LINEAGE, Column, Rows, Table
from dbt_trigger_dagster.storage.kinds import Kind
from dbt_trigger_dagster.storage.node_tables import NODE_TABLES


def _api(name: str, kind: Kind, description: str) -> Column:
    return Column(name, kind, description, source=name)


_RUN_COLUMNS = (
    _api("id", Kind.INTEGER, "dbt Cloud's id of the run"),
    _api("trigger_id", Kind.INTEGER, "Id of the trigger that started the run"),
    _api("account_id", Kind.INTEGER, "Account that the run belongs to"),
    _api("environment_id", Kind.INTEGER, "Environment that the run ran in"),
    _api("project_id", Kind.INTEGER, "Project that the run belongs to"),
    _api("job_definition_id", Kind.INTEGER, "Job that the run is a run of"),
    _api("job_id", Kind.INTEGER, "The same as job_definition_id"),
    _api(
        "status",
        Kind.INTEGER,
        "1 queued, 2 starting, 3 running, 10 success, 20 error, 30 cancelled",
    ),
    _api("status_humanized", Kind.TEXT, "The status as dbt Cloud names it"),
    _api("status_message", Kind.TEXT, "What dbt Cloud says about the status"),
    _api("in_progress", Kind.BOOLEAN, "Whether the run is queued, starting or running"),
    _api("is_running", Kind.BOOLEAN, "Whether the run is running"),
    _api("is_complete", Kind.BOOLEAN, "Whether the run is over"),
    _api("is_success", Kind.BOOLEAN, "Whether the run ended well"),
    _api("is_error", Kind.BOOLEAN, "Whether the run ended in error"),
    _api("is_cancelled", Kind.BOOLEAN, "Whether the run was cancelled or timed out"),
    Column("cause", Kind.TEXT, "Why the run was triggered", source="trigger.cause"),
    _api("href", Kind.TEXT, "The run's page in dbt Cloud"),
    _api("dbt_version", Kind.TEXT, "Version or release track of dbt"),
    _api("git_branch", Kind.TEXT, "Branch that was checked out"),
    _api("git_sha", Kind.TEXT, "Commit that was checked out"),
    _api("created_at", Kind.TIMESTAMP, "When the run was created"),
    _api("updated_at", Kind.TIMESTAMP, "When the run last changed"),
    _api("should_start_at", Kind.TIMESTAMP, "When the run was to start"),
    _api("dequeued_at", Kind.TIMESTAMP, "When the run left the queue"),
    _api("started_at", Kind.TIMESTAMP, "When the run started"),
    _api("finished_at", Kind.TIMESTAMP, "When the run ended"),
    _api("last_checked_at", Kind.TIMESTAMP, "When dbt Cloud last checked the run"),
    _api("last_heartbeat_at", Kind.TIMESTAMP, "When the run last gave a sign of life"),
    _api("duration", Kind.TEXT, "From creation to end, as HH:MM:SS"),
    Column("duration_seconds", Kind.SECONDS, "duration in seconds", source="duration"),
    _api("queued_duration", Kind.TEXT, "From creation to start, as HH:MM:SS"),
    Column(
        "queued_duration_seconds",
        Kind.SECONDS,
        "queued_duration in seconds",
        source="queued_duration",
    ),
    _api("run_duration", Kind.TEXT, "From start to end, as HH:MM:SS"),
    Column("run_duration_seconds", Kind.SECONDS, "run_duration in seconds", source="run_duration"),
    _api("duration_humanized", Kind.TEXT, "duration in words"),
    _api("queued_duration_humanized", Kind.TEXT, "queued_duration in words"),
    _api("run_duration_humanized", Kind.TEXT, "run_duration in words"),
    _api("created_at_humanized", Kind.TEXT, "created_at in words, as of the answer"),
    _api("finished_at_humanized", Kind.TEXT, "finished_at in words, as of the answer"),
    _api("blocked_by", Kind.JSON, "Ids of the runs that this one waits for"),
    _api("retrying_run_id", Kind.INTEGER, "The failed run that this one continues"),
    _api(
        "can_retry", Kind.BOOLEAN, "Whether dbt Cloud can retry the run from its point of failure"
    ),
    _api("retry_not_supported_reason", Kind.TEXT, "Why dbt Cloud cannot retry the run"),
    _api("deferring_run_id", Kind.INTEGER, "The run whose manifest this one defers to"),
    _api("artifacts_saved", Kind.BOOLEAN, "Whether dbt Cloud keeps artifacts of the run"),
    _api("artifact_s3_path", Kind.TEXT, "Where dbt Cloud keeps the artifacts"),
    _api("has_docs_generated", Kind.BOOLEAN, "Whether the run generated docs"),
    _api("has_sources_generated", Kind.BOOLEAN, "Whether the run checked source freshness"),
    _api("notifications_sent", Kind.BOOLEAN, "Whether dbt Cloud sent notifications"),
    _api("used_repo_cache", Kind.BOOLEAN, "Whether the repository came from a cache"),
    _api("owner_thread_id", Kind.TEXT, "dbt Cloud's thread that owns the run"),
    _api("executed_by_thread_id", Kind.TEXT, "dbt Cloud's thread that executed the run"),
    Column("job_name", Kind.TEXT, "The job's name", source="job.name"),
    Column("environment_name", Kind.TEXT, "The environment's name", source="environment.name"),
    Column(
        "project_name",
        Kind.TEXT,
        "The project's name, where dbt Cloud tells it with the job",
        source="job.project.name",
    ),
    _api("trigger", Kind.JSON, "The trigger: cause and overrides"),
    _api("job", Kind.JSON, "The job as it was"),
    _api("environment", Kind.JSON, "The environment"),
    _api("run_steps", Kind.JSON, "The steps, with their logs"),
    _api("deprecation", Kind.JSON, "Deprecation warnings"),
    _api("audit", Kind.JSON, "Who triggered and who cancelled the run"),
)


TRIGGER = Table(
    name="dbt_cloud_trigger",
    description="What dbt Cloud answered when a job was triggered, one row for each run",
    columns=(
        *_RUN_COLUMNS,
        Column(
            "adopted",
            Kind.BOOLEAN,
            "Whether the run was found, because the answer that told of it was lost",
        ),
        *LINEAGE,
    ),
    primary_key=("account_id", "id"),
)


RUN = Table(
    name="dbt_cloud_run",
    description="How runs ended, one row for each run",
    columns=(
        *_RUN_COLUMNS,
        Column(
            "retry_decision",
            Kind.TEXT,
            "Of a failed run, whether it was retried from its point of failure, and why, or why "
            "not; null where no step has waited for it, or where the step that landed it last "
            "found it already over",
        ),
        *LINEAGE,
    ),
    primary_key=("account_id", "id"),
)


ARTIFACT = Table(
    name="dbt_cloud_artifact",
    description="Which artifacts of which runs are stored where, one row for each file",
    columns=(
        Column("account_id", Kind.INTEGER, "Account that the run belongs to"),
        Column("run_id", Kind.INTEGER, "dbt Cloud's id of the run"),
        Column("step", Kind.INTEGER, "Number of the step; 0 for what dbt Cloud lists for the run"),
        Column("path", Kind.TEXT, "The artifact's path in dbt Cloud"),
        Column("uri", Kind.TEXT, "Where the file is stored"),
        Column("size_bytes", Kind.INTEGER, "The file's length in bytes"),
        Column("sha256", Kind.TEXT, "The file's SHA-256, as hex digits"),
        Column("content_type", Kind.TEXT, "The Content-Type that dbt Cloud sent"),
        Column(
            "length_known",
            Kind.BOOLEAN,
            "Whether dbt Cloud said how long the file is; where it did not, a connection that "
            "broke cannot be told from the end",
        ),
        Column("downloaded_at", Kind.TIMESTAMP, "When the file was complete"),
        Column("deleted_at", Kind.TIMESTAMP, "When the file was deleted again; the row stays"),
        *LINEAGE,
    ),
    primary_key=("account_id", "run_id", "step", "path"),
    preview=("step", "path", "size_bytes"),
)


TABLES: Mapping[str, Table] = {
    table.name: table for table in (TRIGGER, RUN, ARTIFACT, *NODE_TABLES)
}
"""All tables by name."""


def run_rows(
    table: Table, runs: Iterable[Run], *, own: Mapping[int, Mapping[str, Any]] | None = None
) -> Rows:
    """Runs as rows of `TRIGGER` or `RUN`.

    Args:
        table: Which of them.
        runs: The runs.
        own: Values of our own columns by the run's id; they are null without, but for ``raw``.
    """
    known = own or {}
    return table.rows({**table.record(run.payload), **known.get(run.run_id, {})} for run in runs)
