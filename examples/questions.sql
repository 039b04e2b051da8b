-- Questions that the tables and views answer, in DuckDB:
--   duckdb data/dbt_cloud.duckdb < examples/questions.sql

-- Which models were slowest this week?
SELECT name, job_id, count(*) AS runs, round(avg(execution_time), 2) AS usual_seconds,
    round(max(execution_time), 2) AS longest, bool_or(on_critical_path) AS delays_its_job
FROM dbt_cloud_node_result
WHERE executed AND resource_type = 'model' AND execution_time > 0
    AND execute_completed_at > now() - INTERVAL '7' DAY
GROUP BY name, job_id
ORDER BY sum(execution_time) DESC
LIMIT 20;

-- Which tests are flaky: good and bad in turn?
SELECT name, attached_node, owner, count(*) AS runs, sum(is_bad) AS bad, sum(turned) AS turns
FROM (
    SELECT *, CASE WHEN is_bad <> lag(is_bad) OVER (
        PARTITION BY account_id, job_id, unique_id ORDER BY run_id, step
    ) THEN 1 ELSE 0 END AS turned
    FROM (
        SELECT *, CASE WHEN status IN ('fail', 'error') THEN 1 ELSE 0 END AS is_bad
        FROM dbt_cloud_node_result
        WHERE executed AND resource_type IN ('test', 'unit_test')
            AND status IN ('pass', 'warn', 'fail', 'error')
    )
)
GROUP BY name, attached_node, owner
HAVING sum(turned) >= 2
ORDER BY turns DESC;

-- Which tests always fail?
SELECT name, attached_node, owner, count(*) AS runs, max(run_id) AS last_run_id
FROM dbt_cloud_node_result
WHERE executed AND resource_type IN ('test', 'unit_test')
    AND status IN ('pass', 'warn', 'fail', 'error')
GROUP BY account_id, job_id, unique_id, name, attached_node, owner
HAVING count(*) >= 3 AND bool_and(status IN ('fail', 'error'))
ORDER BY runs DESC;

-- What broke since yesterday, and whose is it?
SELECT owner, name, resource_type, change, since, message
FROM dbt_cloud_node_change
WHERE change = 'newly failing' AND since > now() - INTERVAL '1' DAY
ORDER BY owner, since;

-- What has been failing for longest?
SELECT name, owner, since, since_run_id, message
FROM dbt_cloud_node_change
WHERE change IN ('newly failing', 'still failing')
ORDER BY since;

-- How long do jobs queue, and how long do they run?
SELECT job_id, any_value(job_name) AS job_name, count(*) AS runs,
    round(avg(waiting_seconds), 1) AS waiting, max(waiting_seconds) AS longest_wait,
    round(avg(preparing_seconds), 1) AS preparing, round(avg(running_seconds), 1) AS running
FROM dbt_cloud_run_overview
GROUP BY job_id
ORDER BY avg(waiting_seconds) DESC NULLS LAST;

-- What do jobs cost, by what triggered them? (Bytes and slots are lower bounds.)
SELECT job_id, any_value(job_name) AS job_name,
    regexp_replace(cause, '\s*\[dagster [^]]*\]$', '') AS cause, count(*) AS runs,
    round(sum(running_seconds) / 3600.0, 2) AS hours, sum(bytes_billed) AS bytes_billed,
    round(sum(slot_ms) / 3600000.0, 2) AS slot_hours
FROM dbt_cloud_run_overview
GROUP BY ALL
ORDER BY hours DESC NULLS LAST;

-- Would more threads help? (Where the critical path is all of the busy time, no.)
SELECT job_id, run_id, round(busy_seconds, 1) AS busy,
    round(critical_path_seconds, 1) AS critical_path, peak_concurrency AS peak,
    round(average_concurrency, 1) AS at_a_time
FROM dbt_cloud_run_overview
WHERE busy_seconds > 0
ORDER BY busy_seconds DESC
LIMIT 20;

-- Which nodes delay their jobs most?
SELECT name, count(*) AS times_on_the_critical_path, round(sum(execution_time), 1) AS seconds
FROM dbt_cloud_node_result
WHERE on_critical_path
GROUP BY name
ORDER BY seconds DESC
LIMIT 20;

-- Which failed runs were retried, which were not, and why?
SELECT id, job_name, finished_at, retry_decision, href
FROM dbt_cloud_run
WHERE retry_decision IS NOT NULL
ORDER BY id DESC
LIMIT 20;

-- Which sources are stale?
SELECT unique_id, status, max_loaded_at, round(max_loaded_at_time_ago_in_s / 3600, 1) AS hours_old
FROM (
    SELECT *, row_number() OVER (
        PARTITION BY account_id, job_id, unique_id ORDER BY run_id DESC, step DESC
    ) AS age
    FROM dbt_cloud_source_freshness
)
WHERE age = 1 AND status <> 'pass'
ORDER BY hours_old DESC NULLS FIRST;

-- Which nodes has nobody described, and which have no owner?
SELECT resource_type, count(*) AS nodes, count(*) FILTER (coalesce(description, '') = '') AS bare,
    count(*) FILTER (owner IS NULL) AS nobodys
FROM dbt_cloud_node
WHERE gone_at IS NULL
GROUP BY resource_type
ORDER BY nodes DESC;
