"""Views of the tables: what nodes are like now, what has changed, and what runs were like.

Each is one SELECT that all our databases understand: no arithmetic with dates, no functions beyond
the standard's. A store names the tables in its own way.
"""

from dbt_trigger_dagster.storage.columns import LINEAGE, Column, Table
from dbt_trigger_dagster.storage.kinds import Kind
from dbt_trigger_dagster.storage.node_statuses import EXECUTED, FAILED, GOOD, in_sql
from dbt_trigger_dagster.storage.node_tables import NODE_RESULT
from dbt_trigger_dagster.storage.tables import RUN
from dbt_trigger_dagster.storage.view import View

_BAD = in_sql(FAILED)
_GOOD = in_sql(GOOD)
_OF_A_NODE = "account_id, job_id, unique_id"


def _columns(table: Table, *names: str) -> tuple[Column, ...]:
    by_name = {column.name: column for column in table.columns}
    return tuple(by_name[name] for name in names)


_RESULT_COLUMNS = tuple(column for column in NODE_RESULT.columns if column not in LINEAGE)

NODE_LATEST = View(
    name="dbt_cloud_node_latest",
    description="Each node's newest executed result in each job",
    columns=(
        *_RESULT_COLUMNS,
        Column("gone_at", Kind.TIMESTAMP, "When a run of the job was first without the node"),
    ),
    select="SELECT "
    + ", ".join(f"latest.{column.name}" for column in _RESULT_COLUMNS)
    + f""", node.gone_at
FROM (
    SELECT result.*, ROW_NUMBER() OVER (
        PARTITION BY {_OF_A_NODE} ORDER BY run_id DESC, step DESC
    ) AS age
    FROM {{dbt_cloud_node_result}} AS result
    WHERE {EXECUTED}
) AS latest
LEFT JOIN {{dbt_cloud_node}} AS node
    ON node.account_id = latest.account_id AND node.job_id = latest.job_id
    AND node.unique_id = latest.unique_id
WHERE age = 1""",
)

NODE_CHANGE = View(
    name="dbt_cloud_node_change",
    description="The nodes of which something has changed: the newest executed result that was "
    "good or bad against those before it; a node that was only skipped has not changed",
    columns=(
        *_columns(NODE_RESULT, "account_id", "job_id", "unique_id", "resource_type", "name"),
        Column("owner", Kind.TEXT, "Whose the node is"),
        Column(
            "change",
            Kind.TEXT,
            "newly failing, still failing, fixed, new (the job ran before, without it), slower or "
            "faster (by half and a second, against the last ten good ones), or gone",
        ),
        Column("since", Kind.TIMESTAMP, "When the first run so was created, or gone_at"),
        Column("since_run_id", Kind.INTEGER, "That run; null of what is gone"),
        Column("run_id", Kind.INTEGER, "The run of the newest result"),
        Column("status", Kind.TEXT, "The newest result"),
        Column("previous_run_id", Kind.INTEGER, "The run of the one before"),
        Column("previous_status", Kind.TEXT, "The one before"),
        Column("execution_time", Kind.NUMBER, "Seconds that the newest one took"),
        Column("usual_time", Kind.NUMBER, "Seconds that good ones took on average, of ten before"),
        Column("message", Kind.TEXT, "What dbt or the warehouse said"),
        Column("relation_name", Kind.TEXT, "The table or view"),
    ),
    select=f"""WITH result AS (
    SELECT {_OF_A_NODE}, run_id, step, resource_type, name, owner, status, message,
        relation_name, execution_time, loaded_at,
        CASE WHEN status IN {_BAD} THEN 1 ELSE 0 END AS is_bad,
        ROW_NUMBER() OVER (PARTITION BY {_OF_A_NODE} ORDER BY run_id, step) AS ordinal,
        COUNT(*) OVER (PARTITION BY {_OF_A_NODE}) AS results,
        MIN(run_id) OVER (PARTITION BY account_id, job_id) AS first_run_id
    FROM {{dbt_cloud_node_result}}
    WHERE {EXECUTED} AND (status IN {_GOOD} OR status IN {_BAD} OR status = 'warn')
), history AS (
    SELECT result.*,
        LAG(status) OVER (PARTITION BY {_OF_A_NODE} ORDER BY ordinal) AS previous_status,
        LAG(is_bad) OVER (PARTITION BY {_OF_A_NODE} ORDER BY ordinal) AS was_bad,
        LAG(run_id) OVER (PARTITION BY {_OF_A_NODE} ORDER BY ordinal) AS previous_run_id,
        MAX(CASE WHEN is_bad = 0 THEN ordinal ELSE 0 END)
            OVER (PARTITION BY {_OF_A_NODE}) AS last_good,
        AVG(CASE WHEN is_bad = 0 THEN execution_time END) OVER (
            PARTITION BY {_OF_A_NODE} ORDER BY ordinal ROWS BETWEEN 10 PRECEDING AND 1 PRECEDING
        ) AS usual_time
    FROM result
), streak AS (
    SELECT history.*, MIN(CASE WHEN ordinal > last_good THEN run_id END)
        OVER (PARTITION BY {_OF_A_NODE}) AS bad_since
    FROM history
), latest AS (
    SELECT streak.*,
        CASE WHEN is_bad = 1 THEN bad_since ELSE run_id END AS since_run_id,
        CASE
            WHEN is_bad = 1 AND was_bad = 1 THEN 'still failing'
            WHEN is_bad = 1 THEN 'newly failing'
            WHEN was_bad = 1 THEN 'fixed'
            WHEN results = 1 AND run_id > first_run_id THEN 'new'
            WHEN execution_time > 1.5 * usual_time AND execution_time > usual_time + 1
                THEN 'slower'
            WHEN usual_time > 1.5 * execution_time AND usual_time > execution_time + 1
                THEN 'faster'
        END AS change
    FROM streak
    WHERE ordinal = results
)
SELECT latest.account_id, latest.job_id, latest.unique_id, latest.resource_type, latest.name,
    latest.owner, latest.change, COALESCE(run.created_at, latest.loaded_at) AS since,
    latest.since_run_id, latest.run_id, latest.status, latest.previous_run_id,
    latest.previous_status, latest.execution_time, latest.usual_time, latest.message,
    latest.relation_name
FROM latest
LEFT JOIN {{dbt_cloud_run}} AS run
    ON run.account_id = latest.account_id AND run.id = latest.since_run_id
LEFT JOIN {{dbt_cloud_node}} AS node
    ON node.account_id = latest.account_id AND node.job_id = latest.job_id
    AND node.unique_id = latest.unique_id
WHERE latest.change IS NOT NULL AND node.gone_at IS NULL
UNION ALL
SELECT node.account_id, node.job_id, node.unique_id, node.resource_type, node.name,
    node.owner, 'gone', node.gone_at, NULL, latest.run_id, latest.status, latest.previous_run_id,
    latest.previous_status, latest.execution_time, latest.usual_time, latest.message,
    node.relation_name
FROM {{dbt_cloud_node}} AS node
LEFT JOIN latest
    ON node.account_id = latest.account_id AND node.job_id = latest.job_id
    AND node.unique_id = latest.unique_id
WHERE node.gone_at IS NOT NULL""",
)


def _count(name: str, condition: str, meaning: str) -> tuple[Column, str]:
    summed = f"CAST(SUM(CASE WHEN {condition} THEN 1 ELSE 0 END) AS BIGINT) AS {name}"
    return Column(name, Kind.INTEGER, meaning), summed


_COUNTS = (
    _count("nodes", "true", "Nodes of the commands that execute nodes, once for each step"),
    _count("nodes_succeeded", f"status IN {_GOOD}", "Those with success or pass"),
    _count("nodes_failed", f"status IN {_BAD}", "Those with an error or a failed test"),
    _count("nodes_warned", "status = 'warn'", "Those that warned"),
    _count("nodes_skipped", "status = 'skipped'", "Those that were skipped"),
)
_SUMS = {
    "rows_affected": "Rows written, as adapters say: at least",
    "bytes_processed": "Bytes read, as adapters say: at least",
    "bytes_billed": "Bytes billed, as adapters say: at least",
    "slot_ms": "Slot milliseconds (BigQuery): at least",
}
_OF_NODES = (*(name.name for name, _ in _COUNTS), *_SUMS)

RUN_OVERVIEW = View(
    name="dbt_cloud_run_overview",
    description="What each run was like, one row for each run",
    columns=(
        Column("account_id", Kind.INTEGER, "Account that the run belongs to"),
        Column("run_id", Kind.INTEGER, "dbt Cloud's id of the run"),
        Column("job_id", Kind.INTEGER, "Job that the run is a run of"),
        *_columns(RUN, "status", "status_humanized", "cause", "href"),
        *_columns(RUN, "created_at", "started_at", "finished_at", "job_name", "environment_name"),
        Column("waiting_seconds", Kind.SECONDS, "From its creation to its start"),
        Column("preparing_seconds", Kind.SECONDS, "Steps that run no dbt, and dbt deps"),
        Column("running_seconds", Kind.SECONDS, "All other dbt commands"),
        Column("duration_seconds", Kind.SECONDS, "From its creation to its end"),
        *(column for column, _ in _COUNTS),
        *(Column(name, Kind.INTEGER, meaning) for name, meaning in _SUMS.items()),
        Column("critical_path_seconds", Kind.NUMBER, "The steps' longest chains of nodes together"),
        Column("busy_seconds", Kind.NUMBER, "Seconds in which at least one node was worked on"),
        Column("peak_concurrency", Kind.INTEGER, "The most nodes at the same time"),
        Column("average_concurrency", Kind.NUMBER, "Nodes at a time, over the busy seconds"),
    ),
    select=f"""SELECT run.account_id, run.id AS run_id,
    COALESCE(run.job_definition_id, run.job_id) AS job_id, run.status, run.status_humanized,
    run.cause, run.href, run.created_at, run.started_at, run.finished_at, run.job_name,
    run.environment_name, run.queued_duration_seconds AS waiting_seconds,
    step.preparing_seconds, step.running_seconds, run.duration_seconds,
    {", ".join(f"node.{name}" for name in _OF_NODES)},
    step.critical_path_seconds, step.busy_seconds, step.peak_concurrency, step.average_concurrency
FROM {{dbt_cloud_run}} AS run
LEFT JOIN (
    SELECT account_id, run_id,
        CAST(SUM(CASE WHEN command IS NULL OR command LIKE 'dbt deps%' THEN duration_seconds
            ELSE 0 END) AS BIGINT) AS preparing_seconds,
        CAST(SUM(CASE WHEN command IS NULL OR command LIKE 'dbt deps%' THEN 0
            ELSE duration_seconds END) AS BIGINT) AS running_seconds,
        SUM(critical_path_seconds) AS critical_path_seconds,
        SUM(busy_seconds) AS busy_seconds,
        MAX(peak_concurrency) AS peak_concurrency,
        SUM(average_concurrency * busy_seconds) / NULLIF(SUM(busy_seconds), 0)
            AS average_concurrency
    FROM {{dbt_cloud_run_step}}
    GROUP BY account_id, run_id
) AS step ON step.account_id = run.account_id AND step.run_id = run.id
LEFT JOIN (
    SELECT account_id, run_id,
        {", ".join(counted for _, counted in _COUNTS)},
        {", ".join(f"CAST(SUM({name}) AS BIGINT) AS {name}" for name in _SUMS)}
    FROM {{dbt_cloud_node_result}}
    WHERE {EXECUTED}
    GROUP BY account_id, run_id
) AS node ON node.account_id = run.account_id AND node.run_id = run.id""",
)

VIEWS = (NODE_LATEST, NODE_CHANGE, RUN_OVERVIEW)
"""All of them."""
