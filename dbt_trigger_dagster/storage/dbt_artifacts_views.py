"""The tables of dbt_artifacts 2, as views of ours."""

from dbt_trigger_dagster.storage.compatible_view import (
    NO_INVOCATION,
    OF_WHICH,
    PROFILE,
    RUN_OF_STEP,
    SCHEMA,
    STARTED,
    STEP,
    TARGET,
    THREADS,
    compatible_view,
    count,
    flag,
    moment,
    number,
    results,
    text,
)
from dbt_trigger_dagster.storage.node_statuses import EXECUTED

DBT_ARTIFACTS = "dbt_artifacts"

_CONFIGURED = "((node.raw -> 'config') ->> 'full_refresh')"
_FULL_REFRESH = (
    f"CASE {_CONFIGURED} WHEN 'true' THEN true WHEN 'false' THEN false ELSE step.full_refresh END"
)
_KEY = "MD5(step.invocation_id || '-' || {}.unique_id)"
_KEY_MEANING = "MD5 of the two ids behind it, as there"
_BIGQUERY = "there with BigQuery alone"
_EXECUTION = (
    text("command_invocation_id", "step.invocation_id", NO_INVOCATION),
    text("node_id", "result.unique_id"),
    moment("run_started_at", "step.started_at", STARTED),
    flag("was_full_refresh", _FULL_REFRESH, "As the node is configured, else the step's `args`"),
    text("thread_id", "result.thread_id"),
    text("status", "result.status"),
    moment("compile_started_at", "result.compile_started_at"),
    moment("query_completed_at", "result.execute_completed_at"),
    number("total_node_runtime", "result.execution_time"),
    count("rows_affected", "result.rows_affected"),
)

MODEL_EXECUTIONS = compatible_view(
    DBT_ARTIFACTS,
    "fct_dbt__model_executions",
    "Each execution of a model",
    (
        text("model_execution_id", _KEY.format("result"), _KEY_MEANING),
        *_EXECUTION,
        count("bytes_processed", "result.bytes_processed", _BIGQUERY),
        text("materialization", "result.materialization"),
        text("schema", "result.schema"),
        text("name", "result.name"),
        text("alias", "result.alias"),
        text("message", "result.message"),
    ),
    f"FROM {results()}\nWHERE {EXECUTED} AND result.resource_type = 'model'",
)

TEST_EXECUTIONS = compatible_view(
    DBT_ARTIFACTS,
    "fct_dbt__test_executions",
    "Each execution of a data test",
    (
        text("test_execution_id", _KEY.format("result"), _KEY_MEANING),
        *_EXECUTION,
        count("failures", "result.failures"),
        text("message", "result.message"),
    ),
    f"FROM {results()}\nWHERE {EXECUTED} AND result.resource_type = 'test'",
)

INVOCATIONS = compatible_view(
    DBT_ARTIFACTS,
    "fct_dbt__invocations",
    "Each dbt command that runs nodes, also one that broke",
    (
        text("command_invocation_id", "step.invocation_id", NO_INVOCATION),
        text("dbt_version", "step.dbt_version"),
        text("project_name", meaning="dbt's own name of the project"),
        moment("run_started_at", "step.started_at", STARTED),
        text("dbt_command", "step.which", "`which` of the step's `args`, else of its `command`"),
        flag("full_refresh_flag", "step.full_refresh", "`full_refresh` of the step's `args`"),
        text("target_profile_name", "(step.args ->> 'profile')", PROFILE),
        text("target_name", TARGET, OF_WHICH),
        text("target_schema", "(run.trigger ->> 'schema_override')", SCHEMA),
        count("target_threads", THREADS, OF_WHICH),
        text("dbt_cloud_project_id", "run.project_id"),
        text("dbt_cloud_job_id", "step.job_id"),
        text("dbt_cloud_run_id", "step.run_id"),
        text(
            "dbt_cloud_run_reason_category",
            "(run.trigger ->> 'cause_category')",
            "Of the run's `trigger`",
        ),
        text("dbt_cloud_run_reason", "run.cause"),
        text("env_vars"),
        text("dbt_vars", meaning="`invocation_args` has those of the command line"),
        text("invocation_args", "step.args"),
        text("dbt_custom_envs"),
    ),
    f"FROM {RUN_OF_STEP}",
)

_FACTS = ("execute_completed_at", "execution_time", "rows_affected", "bytes_processed")
_NEWEST = "Of the newest good full refresh"
_EITHER = "The greater one of the newest good full refresh and the newest other good run, as there"
_LATEST = f"""(
    SELECT account_id, job_id, unique_id,
        {", ".join(f"MAX(CASE WHEN was_full THEN {fact} END) AS full_{fact}" for fact in _FACTS)},
        {", ".join(f"MAX({fact}) AS {fact}" for fact in _FACTS)}
    FROM (
        SELECT good.*, ROW_NUMBER() OVER (
            PARTITION BY account_id, job_id, unique_id, was_full ORDER BY execute_completed_at DESC
        ) AS age
        FROM (
            SELECT result.account_id, result.job_id, result.unique_id,
                {", ".join(f"result.{fact}" for fact in _FACTS)}, {_FULL_REFRESH} AS was_full
            FROM {results()}
            WHERE {EXECUTED} AND result.resource_type = 'model' AND result.status = 'success'
        ) AS good
    ) AS ranked
    WHERE age = 1
    GROUP BY account_id, job_id, unique_id
)"""  # noqa: S608  # no value of anybody's
_NODE = """(
    SELECT every.*, ROW_NUMBER() OVER (
        PARTITION BY account_id, unique_id ORDER BY manifest_run_id DESC, job_id
    ) AS age
    FROM {dbt_cloud_node} AS every
    WHERE resource_type = 'model' AND gone_at IS NULL
)"""
_LAST_STEP = f"""(
    SELECT every.*, ROW_NUMBER() OVER (PARTITION BY account_id, run_id ORDER BY step DESC) AS age
    FROM {STEP} AS every
)"""  # noqa: S608  # likewise

CURRENT_MODELS = compatible_view(
    DBT_ARTIFACTS,
    "dim_dbt__current_models",
    "Each model that is there, as the newest run had it that knows it, with its newest good runs",
    (
        text("model_execution_id", _KEY.format("node"), _KEY_MEANING),
        text("command_invocation_id", "step.invocation_id", "of the last command of that run"),
        text("node_id", "node.unique_id"),
        moment("run_started_at", "step.started_at", f"{STARTED}; likewise"),
        text("database", "node.database"),
        text("schema", "node.schema"),
        text("name", "node.name"),
        text("depends_on_nodes", "node.depends_on"),
        text("package_name", "node.package_name"),
        text("path", "node.original_file_path"),
        text("checksum", "node.checksum"),
        text("materialization", "node.materialization"),
        text("tags", "node.tags"),
        text("meta", "((node.raw -> 'config') -> 'meta')", "Of the node's configuration"),
        text("alias", "node.alias"),
        moment("last_full_refresh_run_completed_at", "latest.full_execute_completed_at", _NEWEST),
        number("last_full_refresh_run_total_runtime", "latest.full_execution_time", _NEWEST),
        count("last_full_refresh_run_rows_affected", "latest.full_rows_affected", _NEWEST),
        count(
            "last_full_refresh_run_bytes_processed",
            "latest.full_bytes_processed",
            f"{_NEWEST}; {_BIGQUERY}",
        ),
        moment("last_run_completed_at", "latest.execute_completed_at", _EITHER),
        number("last_run_total_runtime", "latest.execution_time", _EITHER),
        count("last_run_rows_affected", "latest.rows_affected", _EITHER),
        count("last_run_bytes_processed", "latest.bytes_processed", f"Likewise; {_BIGQUERY}"),
    ),
    f"""FROM {_NODE} AS node
LEFT JOIN {_LAST_STEP} AS step
    ON step.account_id = node.account_id AND step.run_id = node.manifest_run_id AND step.age = 1
LEFT JOIN {_LATEST} AS latest
    ON latest.account_id = node.account_id AND latest.job_id = node.job_id
    AND latest.unique_id = node.unique_id
WHERE node.age = 1""",
)

LIKE_DBT_ARTIFACTS = (MODEL_EXECUTIONS, TEST_EXECUTIONS, INVOCATIONS, CURRENT_MODELS)
"""All of them."""
