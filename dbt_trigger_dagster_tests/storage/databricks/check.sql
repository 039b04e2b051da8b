DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run` AS JSON;

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run_step` AS JSON;

DESCRIBE SCHEMA `main`.`dbt`;

CREATE SCHEMA IF NOT EXISTS `main`.`dbt`;

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_incoming` AS JSON;

CREATE TABLE IF NOT EXISTS `main`.`dbt`.`dbt_cloud_incoming` (write_id STRING, table_name STRING, piece STRING, sent_at TIMESTAMP) TBLPROPERTIES ('delta.enableDeletionVectors' = 'false');

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run` AS JSON;

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run_step` AS JSON;

CREATE TABLE IF NOT EXISTS `main`.`dbt`.`dbt_cloud_run` (`account_id` BIGINT, `id` BIGINT, `status` BIGINT, `is_success` BOOLEAN, `trigger` STRING, `duration_seconds` BIGINT, `asset_key` STRING, `dagster_run_id` STRING, `loaded_at` TIMESTAMP, `raw` STRING) TBLPROPERTIES ('delta.enableDeletionVectors' = 'false');

CREATE TABLE IF NOT EXISTS `main`.`dbt`.`dbt_cloud_run_step` (`account_id` BIGINT, `run_id` BIGINT, `name` STRING, `share` DOUBLE, `asset_key` STRING, `dagster_run_id` STRING, `loaded_at` TIMESTAMP, `raw` STRING) TBLPROPERTIES ('delta.enableDeletionVectors' = 'false');

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run_overview` AS JSON;

DESCRIBE SCHEMA `main`.`dbt`;

CREATE SCHEMA IF NOT EXISTS `main`.`dbt`;

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_incoming` AS JSON;

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run_overview` AS JSON;

CREATE OR REPLACE VIEW `main`.`dbt`.`dbt_cloud_run_overview` COMMENT 'What a run was like; it\'s ours (dbt_trigger_dagster ec35df7bebe1)' AS SELECT id FROM `main`.`dbt`.`dbt_cloud_run`;

EXPLAIN MERGE INTO `main`.`dbt`.`dbt_cloud_run` AS kept USING (SELECT `account_id`, `id`, `status`, `is_success`, `trigger`, `duration_seconds`, `asset_key`, `dagster_run_id`, CAST(`loaded_at` AS TIMESTAMP) AS `loaded_at`, `raw` FROM (SELECT inline(from_json('[{"account_id": -1, "id": -1, "loaded_at": "1970-01-01T00:00:00+00:00", "raw": "{}"},{"account_id": -2, "id": -1, "loaded_at": "1970-01-01T00:00:00+00:00", "raw": "{}"}]', 'ARRAY<STRUCT<`account_id`: BIGINT, `id`: BIGINT, `status`: BIGINT, `is_success`: BOOLEAN, `trigger`: STRING, `duration_seconds`: BIGINT, `asset_key`: STRING, `dagster_run_id`: STRING, `loaded_at`: STRING, `raw`: STRING>>', map('mode', 'FAILFAST'))))) AS incoming ON kept.`account_id` = incoming.`account_id` AND kept.`id` = incoming.`id` WHEN MATCHED THEN UPDATE SET `status` = incoming.`status`, `is_success` = incoming.`is_success`, `trigger` = incoming.`trigger`, `duration_seconds` = incoming.`duration_seconds`, `asset_key` = incoming.`asset_key`, `dagster_run_id` = incoming.`dagster_run_id`, `loaded_at` = incoming.`loaded_at`, `raw` = incoming.`raw` WHEN NOT MATCHED THEN INSERT (`account_id`, `id`, `status`, `is_success`, `trigger`, `duration_seconds`, `asset_key`, `dagster_run_id`, `loaded_at`, `raw`) VALUES (incoming.`account_id`, incoming.`id`, incoming.`status`, incoming.`is_success`, incoming.`trigger`, incoming.`duration_seconds`, incoming.`asset_key`, incoming.`dagster_run_id`, incoming.`loaded_at`, incoming.`raw`);

EXPLAIN MERGE INTO `main`.`dbt`.`dbt_cloud_run_step` AS kept USING (SELECT `account_id`, `run_id`, `name`, CAST(`share` AS DOUBLE) AS `share`, `asset_key`, `dagster_run_id`, CAST(`loaded_at` AS TIMESTAMP) AS `loaded_at`, `raw` FROM (SELECT inline(from_json('[{"account_id": -1, "run_id": -1, "name": "", "loaded_at": "1970-01-01T00:00:00+00:00", "raw": "{}"},{"account_id": -2, "run_id": -1, "name": "", "loaded_at": "1970-01-01T00:00:00+00:00", "raw": "{}"}]', 'ARRAY<STRUCT<`account_id`: BIGINT, `run_id`: BIGINT, `name`: STRING, `share`: STRING, `asset_key`: STRING, `dagster_run_id`: STRING, `loaded_at`: STRING, `raw`: STRING>>', map('mode', 'FAILFAST'))))) AS incoming ON kept.`account_id` = incoming.`account_id` AND kept.`run_id` = incoming.`run_id` AND kept.`name` = incoming.`name` WHEN MATCHED THEN UPDATE SET `share` = incoming.`share`, `asset_key` = incoming.`asset_key`, `dagster_run_id` = incoming.`dagster_run_id`, `loaded_at` = incoming.`loaded_at`, `raw` = incoming.`raw` WHEN NOT MATCHED THEN INSERT (`account_id`, `run_id`, `name`, `share`, `asset_key`, `dagster_run_id`, `loaded_at`, `raw`) VALUES (incoming.`account_id`, incoming.`run_id`, incoming.`name`, incoming.`share`, incoming.`asset_key`, incoming.`dagster_run_id`, incoming.`loaded_at`, incoming.`raw`);

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run` AS JSON;

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run_step` AS JSON;

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run_overview` AS JSON;

EXPLAIN MERGE INTO `main`.`dbt`.`dbt_cloud_run` AS kept USING (SELECT `account_id`, `id`, `status`, `is_success`, `trigger`, `duration_seconds`, `asset_key`, `dagster_run_id`, CAST(`loaded_at` AS TIMESTAMP) AS `loaded_at`, `raw` FROM (SELECT inline(from_json('[{"account_id": -1, "id": -1, "loaded_at": "1970-01-01T00:00:00+00:00", "raw": "{}"},{"account_id": -2, "id": -1, "loaded_at": "1970-01-01T00:00:00+00:00", "raw": "{}"}]', 'ARRAY<STRUCT<`account_id`: BIGINT, `id`: BIGINT, `status`: BIGINT, `is_success`: BOOLEAN, `trigger`: STRING, `duration_seconds`: BIGINT, `asset_key`: STRING, `dagster_run_id`: STRING, `loaded_at`: STRING, `raw`: STRING>>', map('mode', 'FAILFAST'))))) AS incoming ON kept.`account_id` = incoming.`account_id` AND kept.`id` = incoming.`id` WHEN MATCHED THEN UPDATE SET `status` = incoming.`status`, `is_success` = incoming.`is_success`, `trigger` = incoming.`trigger`, `duration_seconds` = incoming.`duration_seconds`, `asset_key` = incoming.`asset_key`, `dagster_run_id` = incoming.`dagster_run_id`, `loaded_at` = incoming.`loaded_at`, `raw` = incoming.`raw` WHEN NOT MATCHED THEN INSERT (`account_id`, `id`, `status`, `is_success`, `trigger`, `duration_seconds`, `asset_key`, `dagster_run_id`, `loaded_at`, `raw`) VALUES (incoming.`account_id`, incoming.`id`, incoming.`status`, incoming.`is_success`, incoming.`trigger`, incoming.`duration_seconds`, incoming.`asset_key`, incoming.`dagster_run_id`, incoming.`loaded_at`, incoming.`raw`);

EXPLAIN MERGE INTO `main`.`dbt`.`dbt_cloud_run_step` AS kept USING (SELECT `account_id`, `run_id`, `name`, CAST(`share` AS DOUBLE) AS `share`, `asset_key`, `dagster_run_id`, CAST(`loaded_at` AS TIMESTAMP) AS `loaded_at`, `raw` FROM (SELECT inline(from_json('[{"account_id": -1, "run_id": -1, "name": "", "loaded_at": "1970-01-01T00:00:00+00:00", "raw": "{}"},{"account_id": -2, "run_id": -1, "name": "", "loaded_at": "1970-01-01T00:00:00+00:00", "raw": "{}"}]', 'ARRAY<STRUCT<`account_id`: BIGINT, `run_id`: BIGINT, `name`: STRING, `share`: STRING, `asset_key`: STRING, `dagster_run_id`: STRING, `loaded_at`: STRING, `raw`: STRING>>', map('mode', 'FAILFAST'))))) AS incoming ON kept.`account_id` = incoming.`account_id` AND kept.`run_id` = incoming.`run_id` AND kept.`name` = incoming.`name` WHEN MATCHED THEN UPDATE SET `share` = incoming.`share`, `asset_key` = incoming.`asset_key`, `dagster_run_id` = incoming.`dagster_run_id`, `loaded_at` = incoming.`loaded_at`, `raw` = incoming.`raw` WHEN NOT MATCHED THEN INSERT (`account_id`, `run_id`, `name`, `share`, `asset_key`, `dagster_run_id`, `loaded_at`, `raw`) VALUES (incoming.`account_id`, incoming.`run_id`, incoming.`name`, incoming.`share`, incoming.`asset_key`, incoming.`dagster_run_id`, incoming.`loaded_at`, incoming.`raw`);
