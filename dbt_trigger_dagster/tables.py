"""The tables: every column's name, type, meaning and source, in one place.

Rows are made from the API's payloads here. Values of an unexpected type become null in their
column, never an error: the whole payload stands in ``raw``.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from dbt_trigger_dagster.models import Run

if TYPE_CHECKING:
    import pandas as pd

_INTEGER_BITS = 64
_DURATION = re.compile(r"(\d{1,9}):(\d\d):(\d\d)(?:\.\d+)?\Z")


class Kind(Enum):
    """What a column holds."""

    INTEGER = "64-bit integer"
    BOOLEAN = "boolean"
    TEXT = "text"
    JSON = "JSON text"
    TIMESTAMP = "UTC timestamp"
    SECONDS = "whole seconds"

    @property
    def dtype(self) -> str:
        """The pandas dtype."""
        return _DTYPES[self]


_DTYPES = {
    Kind.INTEGER: "Int64",
    Kind.BOOLEAN: "boolean",
    Kind.TEXT: "string",
    Kind.JSON: "string",
    Kind.TIMESTAMP: "datetime64[us, UTC]",
    Kind.SECONDS: "Int64",
}


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: Its name in the table.
        kind: What it holds.
        description: What it means; shown in Dagster's UI.
        source: The field of the API's payload that it is filled from; dots lead into objects.
            Empty for our own columns.
    """

    name: str
    kind: Kind
    description: str
    source: str = ""


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: Its name in the database.
        description: What a row is.
        columns: All columns, in order.
        primary_key: The columns that tell rows apart; a row replaces the one with the same key.
        preview: The columns that a small preview shows.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    preview: tuple[str, ...]

    @property
    def dtypes(self) -> dict[str, Any]:
        """The pandas dtype of each column."""
        return {column.name: column.kind.dtype for column in self.columns}

    def frame(self, records: Iterable[Mapping[str, Any]]) -> "pd.DataFrame":
        """A DataFrame with exactly this table's columns, each of its declared type.

        Args:
            records: A mapping from column name to value for each row; what is missing is null.
        """
        import pandas as pd  # noqa: PLC0415  # a third of a second that loading definitions saves

        rows = list(records)
        return pd.DataFrame(
            {
                column.name: pd.Series(
                    _CONVERTERS[column.kind]([row.get(column.name) for row in rows]),
                    dtype=column.kind.dtype,
                )
                for column in self.columns
            }
        )

    def record(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """One row's values from the API's payload, ``raw`` among them."""
        values = {
            column.name: _value_at(payload, column.source)
            for column in self.columns
            if column.source
        }
        return {**values, "raw": payload}


def _value_at(payload: Any, source: str) -> Any:
    for name in source.split("."):
        payload = payload.get(name) if isinstance(payload, Mapping) else None
    return payload


def _each(convert: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    return lambda values: [None if value is None else convert(value) for value in values]


def _as_integer(value: Any) -> int | None:
    if isinstance(value, bool | float):
        return None
    try:
        number = int(value)
    except (TypeError, ValueError):
        return None
    return number if number.bit_length() < _INTEGER_BITS else None


def _as_boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _as_text(value: Any) -> str | None:
    """Text that UTF-8 can hold: JSON may escape half of a surrogate pair, which it cannot."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def _as_json(value: Any) -> str | None:
    return _as_text(json.dumps(value, default=str, ensure_ascii=False))


def _as_timestamps(values: list[Any]) -> Any:
    """UTC timestamps from the three formats that the API writes, and from datetimes."""
    import pandas as pd  # noqa: PLC0415  # as in Table.frame

    texts = [_as_iso_8601(value) for value in values]
    moments = pd.to_datetime(
        pd.Series(texts, dtype="object"), format="ISO8601", utc=True, errors="coerce"
    )
    return moments.astype("datetime64[us, UTC]")


def _as_iso_8601(value: Any) -> str | None:
    """What may be a timestamp; pandas alone would also take ``now`` and numbers for one."""
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str) and value[:1].isdigit() else None


def _as_seconds(value: Any) -> int | None:
    """Whole seconds from ``HH:MM:SS``; hours may exceed 24."""
    duration = _DURATION.match(value) if isinstance(value, str) else None
    if duration is None:
        return None
    hours, minutes, seconds = map(int, duration.groups())
    return (hours * 60 + minutes) * 60 + seconds


_CONVERTERS: dict[Kind, Callable[[list[Any]], Any]] = {
    Kind.INTEGER: _each(_as_integer),
    Kind.BOOLEAN: _each(_as_boolean),
    Kind.TEXT: _each(_as_text),
    Kind.JSON: _each(_as_json),
    Kind.TIMESTAMP: _as_timestamps,
    Kind.SECONDS: _each(_as_seconds),
}

LINEAGE = (
    Column("asset_key", Kind.TEXT, "The Dagster asset that wrote the row"),
    Column("dagster_run_id", Kind.TEXT, "The Dagster run that wrote the row"),
    Column("loaded_at", Kind.TIMESTAMP, "When the row was written"),
    Column("raw", Kind.JSON, "The whole payload that the row was made from"),
)
"""The columns that every table ends in."""


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
    _api("trigger", Kind.JSON, "The trigger: cause and overrides"),
    _api("job", Kind.JSON, "The job as it was"),
    _api("environment", Kind.JSON, "The environment"),
    _api("run_steps", Kind.JSON, "The steps, with their logs"),
    _api("deprecation", Kind.JSON, "Deprecation warnings"),
    _api("audit", Kind.JSON, "Who triggered and who cancelled the run"),
)

_RUN_PREVIEW = ("id", "status_humanized", "cause", "created_at", "finished_at", "duration")

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
    primary_key=("id",),
    preview=_RUN_PREVIEW,
)
RUN = Table(
    name="dbt_cloud_run",
    description="How runs ended, one row for each run",
    columns=_RUN_COLUMNS + LINEAGE,
    primary_key=("id",),
    preview=_RUN_PREVIEW,
)
ARTIFACT = Table(
    name="dbt_cloud_artifact",
    description="Which artifacts of which runs are stored where, one row for each file",
    columns=(
        Column("run_id", Kind.INTEGER, "dbt Cloud's id of the run"),
        Column("step", Kind.INTEGER, "Number of the step; 0 for what dbt Cloud lists for the run"),
        Column("path", Kind.TEXT, "The artifact's path in dbt Cloud"),
        Column("uri", Kind.TEXT, "Where the file is stored"),
        Column("size_bytes", Kind.INTEGER, "The file's length in bytes"),
        Column("sha256", Kind.TEXT, "The file's SHA-256, as hex digits"),
        Column("content_type", Kind.TEXT, "The Content-Type that dbt Cloud sent"),
        Column("downloaded_at", Kind.TIMESTAMP, "When the file was complete"),
        *LINEAGE,
    ),
    primary_key=("run_id", "step", "path"),
    preview=("run_id", "step", "path", "size_bytes", "uri"),
)
TABLES: Mapping[str, Table] = {table.name: table for table in (TRIGGER, RUN, ARTIFACT)}
"""All tables by name."""


def frame_of_runs(table: Table, runs: Iterable[Run]) -> "pd.DataFrame":
    """Runs as rows of `TRIGGER` or `RUN`; our own columns are null but for ``raw``."""
    return table.frame(table.record(run.payload) for run in runs)
