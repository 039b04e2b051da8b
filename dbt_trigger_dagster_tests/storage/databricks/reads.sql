DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run` AS JSON;

SELECT `account_id`, `id`, `status`, `is_success`, `trigger`, `duration_seconds`, `asset_key`, `dagster_run_id`, unix_micros(`loaded_at`), `raw` FROM `main`.`dbt`.`dbt_cloud_run` WHERE `dagster_run_id` = :p1 AND `id` IN (SELECT explode(from_json(:p2, 'ARRAY<BIGINT>')));
-- :p1 = "it's"
-- :p2 = '[1, 1099511627776]'

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run_step` AS JSON;

SELECT `account_id`, `run_id`, `name` FROM `main`.`dbt`.`dbt_cloud_run_step` WHERE 1 = 1 ORDER BY coalesce(`account_id`, 0), coalesce(`run_id`, 0), coalesce(`name`, '') LIMIT 2;

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run_step` AS JSON;

SELECT `account_id`, `run_id`, `name` FROM `main`.`dbt`.`dbt_cloud_run_step` WHERE 1 = 1 AND (coalesce(`account_id`, 0) > :p1 OR (coalesce(`account_id`, 0) = :p1 AND (coalesce(`run_id`, 0) > :p2 OR (coalesce(`run_id`, 0) = :p2 AND (coalesce(`name`, '') > :p3))))) ORDER BY coalesce(`account_id`, 0), coalesce(`run_id`, 0), coalesce(`name`, '') LIMIT 2;
-- :p1 = 101
-- :p2 = 1
-- :p3 = 'dbt build'

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run_step` AS JSON;

SELECT `account_id`, `run_id`, `name` FROM `main`.`dbt`.`dbt_cloud_run_step` WHERE 1 = 1 AND (coalesce(`account_id`, 0) > :p1 OR (coalesce(`account_id`, 0) = :p1 AND (coalesce(`run_id`, 0) > :p2 OR (coalesce(`run_id`, 0) = :p2 AND (coalesce(`name`, '') > :p3))))) ORDER BY coalesce(`account_id`, 0), coalesce(`run_id`, 0), coalesce(`name`, '') LIMIT 2;
-- :p1 = 101
-- :p2 = 1
-- :p3 = 'dbt build'

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run` AS JSON;

SELECT `id`, `dagster_run_id` FROM `main`.`dbt`.`dbt_cloud_run` WHERE `id` IN (SELECT explode(from_json(:p1, 'ARRAY<BIGINT>'))) AND `account_id` = :p2;
-- :p1 = '[1, 2]'
-- :p2 = 101

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run` AS JSON;

SELECT `id`, unix_micros(`loaded_at`) FROM `main`.`dbt`.`dbt_cloud_run` WHERE `asset_key` IN (SELECT explode(from_json(:p1, 'ARRAY<STRING>'))) ORDER BY `loaded_at` DESC NULLS LAST LIMIT 3;
-- :p1 = '["a", "b"]'

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_trigger` AS JSON;

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run` AS JSON;

SELECT id FROM `main`.`dbt`.`dbt_cloud_trigger` WHERE account_id = :p1 AND id > :p2 AND loaded_at BETWEEN :p3 AND :p4 AND id NOT IN (SELECT id FROM `main`.`dbt`.`dbt_cloud_run` WHERE account_id = :p1 AND id > :p2 AND status NOT IN (1, 2, 3)) ORDER BY id LIMIT 100;
-- :p1 = 101
-- :p2 = 7
-- :p3 = datetime.datetime(2026, 1, 2, 12, 0, tzinfo=datetime.timezone.utc)
-- :p4 = datetime.datetime(2026, 1, 2, 12, 0, tzinfo=datetime.timezone.utc)
