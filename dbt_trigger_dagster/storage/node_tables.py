"""The tables of what happened inside runs: steps, nodes, sources, and the project's nodes.

Columns have dbt's own names where dbt has one, and those of dbt_artifacts and elementary where
these agree.
"""

from dbt_trigger_dagster.storage.columns import LINEAGE, Column, Table
from dbt_trigger_dagster.storage.kinds import Kind

_ACCOUNT = Column("account_id", Kind.INTEGER, "Account that the run belongs to")
_JOB = Column("job_id", Kind.INTEGER, "Job that the run is a run of")
_INVOCATION = Column("invocation_id", Kind.TEXT, "dbt's own id of the command that ran")
_RUN_AND_STEP = (
    _ACCOUNT,
    Column("run_id", Kind.INTEGER, "dbt Cloud's id of the run"),
    Column("step", Kind.INTEGER, "Number of the step, from 1"),
)
_THREAD = Column("thread_id", Kind.TEXT, "dbt's thread")
_EXECUTION_TIME = Column("execution_time", Kind.NUMBER, "Seconds, as dbt counts them")
_TIMING = (
    Column("compile_started_at", Kind.TIMESTAMP, "When compiling began"),
    Column("compile_completed_at", Kind.TIMESTAMP, "When compiling ended"),
    Column("execute_started_at", Kind.TIMESTAMP, "When executing began"),
    Column("execute_completed_at", Kind.TIMESTAMP, "When executing ended"),
)
_UNIQUE_ID = Column("unique_id", Kind.TEXT, "dbt's id of the node")
_NAMES = (
    Column("resource_type", Kind.TEXT, "model, seed, snapshot, test, unit_test, operation, …"),
    Column("name", Kind.TEXT, "The node's name"),
    Column("package_name", Kind.TEXT, "The package that it is from"),
)
_RELATION = (
    Column("relation_name", Kind.TEXT, "The table or view, as the warehouse is asked for it"),
    Column("database", Kind.TEXT, "The relation's database"),
    Column("schema", Kind.TEXT, "The relation's schema"),
    Column("alias", Kind.TEXT, "The relation's name"),
    Column("materialization", Kind.TEXT, "view, table, incremental, ephemeral, …"),
)

RUN_STEP = Table(
    name="dbt_cloud_run_step",
    description="The steps of runs, one row for each",
    columns=(
        *_RUN_AND_STEP,
        _JOB,
        Column("name", Kind.TEXT, "The step as dbt Cloud names it"),
        Column("command", Kind.TEXT, "The plain dbt command; null where the step runs none"),
        Column("status", Kind.INTEGER, "10 success, 20 error, 30 cancelled, 1 not started"),
        Column("status_humanized", Kind.TEXT, "The status as dbt Cloud names it"),
        Column("started_at", Kind.TIMESTAMP, "When the step started"),
        Column("finished_at", Kind.TIMESTAMP, "When the step ended"),
        Column("duration_seconds", Kind.SECONDS, "How long it took, in whole seconds"),
        _INVOCATION,
        Column("dbt_version", Kind.TEXT, "The version of dbt that ran"),
        Column("invocation_started_at", Kind.TIMESTAMP, "When dbt began, as it says from 1.10 on"),
        Column("args", Kind.JSON, "The command's arguments and flags, as dbt took them"),
        Column(
            "critical_path_seconds",
            Kind.NUMBER,
            "Seconds of the longest chain of nodes: no number of threads makes the step faster",
        ),
        Column("busy_seconds", Kind.NUMBER, "Seconds in which at least one node was worked on"),
        Column("peak_concurrency", Kind.INTEGER, "The most nodes at the same time"),
        Column("average_concurrency", Kind.NUMBER, "Nodes at a time, over the busy seconds"),
        Column("log_tail", Kind.TEXT, "The last lines of the log, colours taken off"),
        Column("log_size", Kind.INTEGER, "Bytes of the log, as far as dbt Cloud gave it"),
        Column("log_complete", Kind.BOOLEAN, "Whether that is all of it: large logs are left out"),
        *LINEAGE,
    ),
    primary_key=("account_id", "run_id", "step"),
    preview=("run_id", "step", "command", "status_humanized", "duration_seconds"),
)

NODE_RESULT = Table(
    name="dbt_cloud_node_result",
    description="What happened to nodes, one row for each node in each step of each run",
    columns=(
        *_RUN_AND_STEP,
        _UNIQUE_ID,
        _JOB,
        _INVOCATION,
        Column(
            "executed",
            Kind.BOOLEAN,
            "Whether the command executes nodes (build, run, test, …) or only compiles them (docs, "
            "compile, …); null of a command that is not known, which counts as one that does",
        ),
        *_NAMES,
        Column("status", Kind.TEXT, "As dbt says: success, error, skipped, pass, fail, warn, …"),
        Column("message", Kind.TEXT, "What dbt or the warehouse said"),
        Column("failures", Kind.INTEGER, "Rows that a test found"),
        *_RELATION,
        _THREAD,
        *_TIMING,
        _EXECUTION_TIME,
        Column(
            "rows_affected",
            Kind.INTEGER,
            "Rows written, as the adapter says; some tell of the last statement only, so at least",
        ),
        Column("bytes_processed", Kind.INTEGER, "Bytes read, as the adapter says; at least"),
        Column("bytes_billed", Kind.INTEGER, "Bytes billed, as the adapter says; at least"),
        Column("slot_ms", Kind.INTEGER, "Slot milliseconds (BigQuery); at least"),
        Column("query_id", Kind.TEXT, "The warehouse's id of the last query"),
        Column("adapter_code", Kind.TEXT, "The adapter's own word for the outcome"),
        Column("adapter_response", Kind.JSON, "All that the adapter said"),
        Column("batch_results", Kind.JSON, "Batches of a microbatch model, good and failed"),
        Column(
            "error_kind",
            Kind.TEXT,
            "internal, external (may heal by itself) or user; null where it is not known",
        ),
        Column("attached_node", Kind.TEXT, "The node that a test is of"),
        Column("column_name", Kind.TEXT, "The column that a test is of"),
        Column("severity", Kind.TEXT, "error or warn: what a failed test comes to"),
        Column("compiled_code_path", Kind.TEXT, "Where the compiled code is stored"),
        Column("owner", Kind.TEXT, "Whose the node is: meta.owner, else its group's owner"),
        Column("tags", Kind.JSON, "The node's tags"),
        Column(
            "on_critical_path",
            Kind.BOOLEAN,
            "Whether the node is in the step's longest chain of nodes",
        ),
        Column("source", Kind.TEXT, "run_results, telemetry (Fusion) or log"),
        *LINEAGE,
    ),
    primary_key=("account_id", "run_id", "step", "unique_id"),
)

SOURCE_FRESHNESS = Table(
    name="dbt_cloud_source_freshness",
    description="How fresh sources were, one row for each source in each step that looked",
    columns=(
        *_RUN_AND_STEP,
        _UNIQUE_ID,
        _JOB,
        _INVOCATION,
        Column("max_loaded_at", Kind.TIMESTAMP, "The newest row's time"),
        Column("snapshotted_at", Kind.TIMESTAMP, "When dbt looked"),
        Column("max_loaded_at_time_ago_in_s", Kind.NUMBER, "Seconds between the two"),
        Column("status", Kind.TEXT, "pass, warn, error or runtime error"),
        Column("error", Kind.TEXT, "Why dbt could not look"),
        Column("warn_after", Kind.JSON, "The age from which on it warns"),
        Column("error_after", Kind.JSON, "The age from which on it is an error"),
        Column("filter", Kind.TEXT, "The rows that count"),
        _THREAD,
        *_TIMING,
        _EXECUTION_TIME,
        *LINEAGE,
    ),
    primary_key=("account_id", "run_id", "step", "unique_id"),
    preview=("run_id", "unique_id", "status", "max_loaded_at", "snapshotted_at"),
)

NODE = Table(
    name="dbt_cloud_node",
    description="The nodes of jobs' projects, one row for each, as the newest landed run had them",
    columns=(
        _ACCOUNT,
        _JOB,
        _UNIQUE_ID,
        *_NAMES,
        Column("original_file_path", Kind.TEXT, "The file that it is defined in"),
        *_RELATION,
        Column("tags", Kind.JSON, "The node's tags"),
        Column("owner", Kind.TEXT, "meta.owner, else its group's owner"),
        Column("group_name", Kind.TEXT, "The node's group"),
        Column("description", Kind.TEXT, "Its description"),
        Column("depends_on", Kind.JSON, "Ids of the nodes that it is built from"),
        Column("columns", Kind.JSON, "Its columns: name, type, description"),
        Column("row_count", Kind.INTEGER, "Rows, where the run made docs and the adapter counts"),
        Column("bytes", Kind.INTEGER, "Bytes, as for row_count"),
        Column("checksum", Kind.TEXT, "dbt's checksum of the node's code"),
        Column("manifest_run_id", Kind.INTEGER, "The run whose manifest says all this"),
        Column("gone_at", Kind.TIMESTAMP, "When a run was first without the node"),
        *LINEAGE,
    ),
    primary_key=("account_id", "job_id", "unique_id"),
    preview=("unique_id", "materialization", "relation_name", "owner"),
)

NODE_TABLES = (RUN_STEP, NODE_RESULT, SOURCE_FRESHNESS, NODE)
"""All of them."""
