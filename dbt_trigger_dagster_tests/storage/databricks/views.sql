CREATE OR REPLACE VIEW `main`.`dbt`.`dbt_cloud_node_latest` COMMENT 'Each node\'s newest executed result in each job (dbt_trigger_dagster f11cdbc61208)' AS SELECT latest.account_id, latest.run_id, latest.step, latest.unique_id, latest.job_id, latest.invocation_id, latest.executed, latest.resource_type, latest.name, latest.package_name, latest.status, latest.message, latest.failures, latest.relation_name, latest.database, latest.schema, latest.alias, latest.materialization, latest.thread_id, latest.compile_started_at, latest.compile_completed_at, latest.execute_started_at, latest.execute_completed_at, latest.execution_time, latest.rows_affected, latest.bytes_processed, latest.bytes_billed, latest.slot_ms, latest.query_id, latest.adapter_code, latest.adapter_response, latest.batch_results, latest.error_kind, latest.attached_node, latest.column_name, latest.severity, latest.compiled_code_path, latest.owner, latest.tags, latest.on_critical_path, latest.source, node.gone_at
FROM (
    SELECT result.*, ROW_NUMBER() OVER (
        PARTITION BY account_id, job_id, unique_id ORDER BY run_id DESC, step DESC
    ) AS age
    FROM `main`.`dbt`.`dbt_cloud_node_result` AS result
    WHERE COALESCE(executed, true)
) AS latest
LEFT JOIN `main`.`dbt`.`dbt_cloud_node` AS node
    ON node.account_id = latest.account_id AND node.job_id = latest.job_id
    AND node.unique_id = latest.unique_id
WHERE age = 1;

CREATE OR REPLACE VIEW `main`.`dbt`.`dbt_cloud_node_change` COMMENT 'The nodes of which something has changed: the newest executed result that was good or bad against those before it; a node that was only skipped has not changed (dbt_trigger_dagster 87516f186d36)' AS WITH result AS (
    SELECT account_id, job_id, unique_id, run_id, step, resource_type, name, owner, status, message,
        relation_name, execution_time, loaded_at,
        CASE WHEN status IN ('error', 'fail', 'runtime error', 'partial success') THEN 1 ELSE 0 END AS is_bad,
        ROW_NUMBER() OVER (PARTITION BY account_id, job_id, unique_id ORDER BY run_id, step) AS ordinal,
        COUNT(*) OVER (PARTITION BY account_id, job_id, unique_id) AS results,
        MIN(run_id) OVER (PARTITION BY account_id, job_id) AS first_run_id
    FROM `main`.`dbt`.`dbt_cloud_node_result`
    WHERE COALESCE(executed, true) AND (status IN ('success', 'pass') OR status IN ('error', 'fail', 'runtime error', 'partial success') OR status = 'warn')
), history AS (
    SELECT result.*,
        LAG(status) OVER (PARTITION BY account_id, job_id, unique_id ORDER BY ordinal) AS previous_status,
        LAG(is_bad) OVER (PARTITION BY account_id, job_id, unique_id ORDER BY ordinal) AS was_bad,
        LAG(run_id) OVER (PARTITION BY account_id, job_id, unique_id ORDER BY ordinal) AS previous_run_id,
        MAX(CASE WHEN is_bad = 0 THEN ordinal ELSE 0 END)
            OVER (PARTITION BY account_id, job_id, unique_id) AS last_good,
        AVG(CASE WHEN is_bad = 0 THEN execution_time END) OVER (
            PARTITION BY account_id, job_id, unique_id ORDER BY ordinal ROWS BETWEEN 10 PRECEDING AND 1 PRECEDING
        ) AS usual_time
    FROM result
), streak AS (
    SELECT history.*, MIN(CASE WHEN ordinal > last_good THEN run_id END)
        OVER (PARTITION BY account_id, job_id, unique_id) AS bad_since
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
LEFT JOIN `main`.`dbt`.`dbt_cloud_run` AS run
    ON run.account_id = latest.account_id AND run.id = latest.since_run_id
LEFT JOIN `main`.`dbt`.`dbt_cloud_node` AS node
    ON node.account_id = latest.account_id AND node.job_id = latest.job_id
    AND node.unique_id = latest.unique_id
WHERE latest.change IS NOT NULL AND node.gone_at IS NULL
UNION ALL
SELECT node.account_id, node.job_id, node.unique_id, node.resource_type, node.name,
    node.owner, 'gone', node.gone_at, NULL, latest.run_id, latest.status, latest.previous_run_id,
    latest.previous_status, latest.execution_time, latest.usual_time, latest.message,
    node.relation_name
FROM `main`.`dbt`.`dbt_cloud_node` AS node
LEFT JOIN latest
    ON node.account_id = latest.account_id AND node.job_id = latest.job_id
    AND node.unique_id = latest.unique_id
WHERE node.gone_at IS NOT NULL;

CREATE OR REPLACE VIEW `main`.`dbt`.`dbt_cloud_run_overview` COMMENT 'What each run was like, one row for each run (dbt_trigger_dagster 62df5bf2cb68)' AS SELECT run.account_id, run.id AS run_id,
    COALESCE(run.job_definition_id, run.job_id) AS job_id, run.status, run.status_humanized,
    run.cause, run.href, run.created_at, run.started_at, run.finished_at, run.job_name,
    run.environment_name, run.queued_duration_seconds AS waiting_seconds,
    step.preparing_seconds, step.running_seconds, run.duration_seconds,
    node.nodes, node.nodes_succeeded, node.nodes_failed, node.nodes_warned, node.nodes_skipped, node.rows_affected, node.bytes_processed, node.bytes_billed, node.slot_ms,
    step.critical_path_seconds, step.busy_seconds, step.peak_concurrency, step.average_concurrency
FROM `main`.`dbt`.`dbt_cloud_run` AS run
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
    FROM `main`.`dbt`.`dbt_cloud_run_step`
    GROUP BY account_id, run_id
) AS step ON step.account_id = run.account_id AND step.run_id = run.id
LEFT JOIN (
    SELECT account_id, run_id,
        CAST(SUM(CASE WHEN true THEN 1 ELSE 0 END) AS BIGINT) AS nodes, CAST(SUM(CASE WHEN status IN ('success', 'pass') THEN 1 ELSE 0 END) AS BIGINT) AS nodes_succeeded, CAST(SUM(CASE WHEN status IN ('error', 'fail', 'runtime error', 'partial success') THEN 1 ELSE 0 END) AS BIGINT) AS nodes_failed, CAST(SUM(CASE WHEN status = 'warn' THEN 1 ELSE 0 END) AS BIGINT) AS nodes_warned, CAST(SUM(CASE WHEN status = 'skipped' THEN 1 ELSE 0 END) AS BIGINT) AS nodes_skipped,
        CAST(SUM(rows_affected) AS BIGINT) AS rows_affected, CAST(SUM(bytes_processed) AS BIGINT) AS bytes_processed, CAST(SUM(bytes_billed) AS BIGINT) AS bytes_billed, CAST(SUM(slot_ms) AS BIGINT) AS slot_ms
    FROM `main`.`dbt`.`dbt_cloud_node_result`
    WHERE COALESCE(executed, true)
    GROUP BY account_id, run_id
) AS node ON node.account_id = run.account_id AND node.run_id = run.id;
