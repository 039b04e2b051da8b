"""The tables of elementary's dbt package, as views of ours."""

from dbt_trigger_dagster.storage.compatible_view import (
    FRESHNESS,
    NO_INVOCATION,
    OF_WHICH,
    PROFILE,
    RUN_OF_STEP,
    SCHEMA,
    STARTED,
    TARGET,
    THREADS,
    Mapped,
    compatible_view,
    count,
    flag,
    moment,
    number,
    results,
    text,
)
from dbt_trigger_dagster.storage.node_statuses import EXECUTED

ELEMENTARY = "elementary"

_KEY_MEANING = "The two ids with a dot between, as there"
_MORE = "elementary has it where a variable of the environment sets it"
_INVOCATION_ID = text("invocation_id", "step.invocation_id", NO_INVOCATION)
_PULL_REQUEST = """COALESCE((run.trigger ->> 'github_pull_request_id'),
    (run.trigger ->> 'gitlab_merge_request_id'), (run.trigger ->> 'azure_pull_request_id'),
    (run.trigger ->> 'non_native_pull_request_id'))"""
_MATERIALIZATION = (
    "CASE result.resource_type WHEN 'unit_test' THEN 'unit' ELSE result.materialization END"
)
_JOB_URL = """REPLACE(run.href, '/runs/' || CAST(run.id AS VARCHAR),
    '/jobs/' || CAST(step.job_id AS VARCHAR))"""


_RESULTS_AND_SOURCES = f"""(
    SELECT account_id, run_id, step, job_id, unique_id, name, message, status, resource_type,
        execution_time, execute_started_at, execute_completed_at, compile_started_at,
        compile_completed_at, rows_affected, failures, query_id, thread_id, materialization,
        adapter_response, loaded_at
    FROM {{dbt_cloud_node_result}}
    WHERE {EXECUTED} AND resource_type <> 'operation'
    UNION ALL
    SELECT account_id, run_id, step, job_id, unique_id, SPLIT_PART(unique_id, '.', 4), error,
        status, 'source', execution_time, execute_started_at, execute_completed_at,
        compile_started_at, compile_completed_at, NULL, NULL, NULL, thread_id, NULL,
        (raw -> 'adapter_response'), loaded_at
    FROM {{dbt_cloud_source_freshness}}
)"""  # noqa: S608  # no value of anybody's


def _timing(table: str, *names: str) -> tuple[Mapped, ...]:
    return tuple(moment(name, f"{table}.{name}") for name in names)


_EXECUTED_AT = ("execute_started_at", "execute_completed_at")
_COMPILED_AT = ("compile_started_at", "compile_completed_at")

RUN_RESULTS = compatible_view(
    ELEMENTARY,
    "dbt_run_results",
    "Each result of a node, and of each look at a source",
    (
        text("model_execution_id", "step.invocation_id || '.' || result.unique_id", _KEY_MEANING),
        text("unique_id", "result.unique_id"),
        _INVOCATION_ID,
        moment("generated_at", "COALESCE(step.finished_at, result.loaded_at)", "The step's end"),
        moment("created_at", "result.loaded_at"),
        text("name", "result.name"),
        text("message", "result.message"),
        text("status", "result.status"),
        text("resource_type", "result.resource_type"),
        number("execution_time", "result.execution_time"),
        *_timing("result", *_EXECUTED_AT, *_COMPILED_AT),
        count("rows_affected", "result.rows_affected"),
        flag("full_refresh", "step.full_refresh", "`full_refresh` of the step's `args`"),
        text(
            "compiled_code", meaning="`dbt_cloud_node_result.compiled_code_path` says where it is"
        ),
        count("failures", "result.failures"),
        text("query_id", "result.query_id"),
        text("thread_id", "result.thread_id"),
        text(
            "materialization", _MATERIALIZATION, "As the node is configured; `unit` of unit tests"
        ),
        text("adapter_response", "result.adapter_response"),
        text("group_name", "node.group_name"),
    ),
    f"FROM {results(_RESULTS_AND_SOURCES)}",
)

INVOCATIONS = compatible_view(
    ELEMENTARY,
    "dbt_invocations",
    "Each dbt command that runs nodes, also one that broke",
    (
        _INVOCATION_ID,
        text("job_id", "step.job_id"),
        text("job_name", "run.job_name", _MORE),
        text("job_run_id", "step.run_id"),
        moment("run_started_at", "step.started_at", STARTED),
        moment("run_completed_at", "step.finished_at"),
        moment("generated_at", "COALESCE(step.finished_at, step.loaded_at)", "The step's end"),
        moment("created_at", "step.loaded_at"),
        text("command", "step.which", "`which` of the step's `args`, else of its `command`"),
        text("dbt_version", "step.dbt_version"),
        text("elementary_version", meaning="there is none"),
        flag("full_refresh", "step.full_refresh", "`full_refresh` of the step's `args`"),
        text("invocation_vars", "(step.args ->> 'vars')", "`vars` of the step's `args`"),
        text("vars", meaning="those of the project; `invocation_vars` has the command's"),
        text("target_name", TARGET, OF_WHICH),
        text("target_database"),
        text("target_schema", "(run.trigger ->> 'schema_override')", SCHEMA),
        text("target_profile_name", "(step.args ->> 'profile')", PROFILE),
        count("threads", THREADS, OF_WHICH),
        text(
            "selected",
            "COALESCE(NULLIF((step.args ->> 'select'), '[]'), '')",
            "`select` of the step's `args`",
        ),
        text("yaml_selector", "(step.args ->> 'selector')", "`selector` of the step's `args`"),
        text("project_id", "run.project_id"),
        text("project_name", meaning="dbt's own name of the project"),
        text("env", "run.environment_name", _MORE),
        text("env_id", "run.environment_id", _MORE),
        text("cause_category", "(run.trigger ->> 'cause_category')", "Of the run's `trigger`"),
        text("cause", "run.cause"),
        text("pull_request_id", _PULL_REQUEST, "Of the run's `trigger`"),
        text("git_sha", "run.git_sha"),
        text("orchestrator", "'dbt_cloud'", "Always `dbt_cloud`"),
        text("dbt_user"),
        text("job_url", _JOB_URL, "The run's `href`, with the job in place of the run"),
        text("job_run_url", "run.href"),
        text("account_id", "step.account_id", _MORE),
        text("target_adapter_specific_fields"),
    ),
    f"FROM {RUN_OF_STEP}",
)

SOURCE_FRESHNESS_RESULTS = compatible_view(
    ELEMENTARY,
    "dbt_source_freshness_results",
    "How fresh a source was, each time that dbt looked",
    (
        text(
            "source_freshness_execution_id",
            "step.invocation_id || '.' || freshness.unique_id",
            _KEY_MEANING,
        ),
        text("unique_id", "freshness.unique_id"),
        moment("max_loaded_at", "freshness.max_loaded_at"),
        moment("snapshotted_at", "freshness.snapshotted_at"),
        moment("generated_at", "COALESCE(step.finished_at, freshness.loaded_at)", "The step's end"),
        moment("created_at", "freshness.loaded_at"),
        number("max_loaded_at_time_ago_in_s", "freshness.max_loaded_at_time_ago_in_s"),
        text("status", "freshness.status"),
        text("error", "freshness.error"),
        *_timing("freshness", *_COMPILED_AT, *_EXECUTED_AT),
        _INVOCATION_ID,
        text("warn_after", "freshness.warn_after"),
        text("error_after", "freshness.error_after"),
        text("filter", "freshness.filter"),
    ),
    f"FROM {FRESHNESS}",
)

LIKE_ELEMENTARY = (RUN_RESULTS, INVOCATIONS, SOURCE_FRESHNESS_RESULTS)
"""All of them."""
