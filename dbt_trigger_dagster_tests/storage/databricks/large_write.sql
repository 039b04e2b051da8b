DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run` AS JSON;

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run_step` AS JSON;

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_incoming` AS JSON;

INSERT INTO `main`.`dbt`.`dbt_cloud_incoming` VALUES (:p1, :p2, :p3, current_timestamp());
-- :p1 = the id of the write
-- :p2 = 'dbt_cloud_run_step'
-- :p3 = '[{"account_id": 101, "run_id": 1, "name": "step 0", "share"… (1200269 characters)

INSERT INTO `main`.`dbt`.`dbt_cloud_incoming` VALUES (:p1, :p2, :p3, current_timestamp());
-- :p1 = the id of the write
-- :p2 = 'dbt_cloud_run_step'
-- :p3 = '[{"account_id": 101, "run_id": 1, "name": "step 2", "share"… (600135 characters)

MERGE INTO `main`.`dbt`.`dbt_cloud_run_step` AS kept USING (SELECT `account_id`, `run_id`, `name`, CAST(`share` AS DOUBLE) AS `share`, `asset_key`, `dagster_run_id`, CAST(`loaded_at` AS TIMESTAMP) AS `loaded_at`, `raw` FROM (SELECT inline(from_json(piece, 'ARRAY<STRUCT<`account_id`: BIGINT, `run_id`: BIGINT, `name`: STRING, `share`: STRING, `asset_key`: STRING, `dagster_run_id`: STRING, `loaded_at`: STRING, `raw`: STRING>>', map('mode', 'FAILFAST'))) FROM (SELECT DISTINCT piece FROM `main`.`dbt`.`dbt_cloud_incoming` WHERE write_id = :p1 AND table_name = :p2))) AS incoming ON kept.`account_id` = incoming.`account_id` AND kept.`run_id` = incoming.`run_id` AND kept.`name` = incoming.`name` WHEN MATCHED THEN UPDATE SET `share` = incoming.`share`, `asset_key` = incoming.`asset_key`, `dagster_run_id` = incoming.`dagster_run_id`, `loaded_at` = incoming.`loaded_at`, `raw` = incoming.`raw` WHEN NOT MATCHED THEN INSERT (`account_id`, `run_id`, `name`, `share`, `asset_key`, `dagster_run_id`, `loaded_at`, `raw`) VALUES (incoming.`account_id`, incoming.`run_id`, incoming.`name`, incoming.`share`, incoming.`asset_key`, incoming.`dagster_run_id`, incoming.`loaded_at`, incoming.`raw`);
-- :p1 = the id of the write
-- :p2 = 'dbt_cloud_run_step'

MERGE INTO `main`.`dbt`.`dbt_cloud_run` AS kept USING (SELECT `account_id`, `id`, `status`, `is_success`, `trigger`, `duration_seconds`, `asset_key`, `dagster_run_id`, CAST(`loaded_at` AS TIMESTAMP) AS `loaded_at`, `raw` FROM (SELECT inline(from_json(:p1, 'ARRAY<STRUCT<`account_id`: BIGINT, `id`: BIGINT, `status`: BIGINT, `is_success`: BOOLEAN, `trigger`: STRING, `duration_seconds`: BIGINT, `asset_key`: STRING, `dagster_run_id`: STRING, `loaded_at`: STRING, `raw`: STRING>>', map('mode', 'FAILFAST'))))) AS incoming ON kept.`account_id` = incoming.`account_id` AND kept.`id` = incoming.`id` WHEN MATCHED THEN UPDATE SET `status` = incoming.`status`, `is_success` = incoming.`is_success`, `trigger` = incoming.`trigger`, `duration_seconds` = incoming.`duration_seconds`, `asset_key` = incoming.`asset_key`, `dagster_run_id` = incoming.`dagster_run_id`, `loaded_at` = incoming.`loaded_at`, `raw` = incoming.`raw` WHEN NOT MATCHED THEN INSERT (`account_id`, `id`, `status`, `is_success`, `trigger`, `duration_seconds`, `asset_key`, `dagster_run_id`, `loaded_at`, `raw`) VALUES (incoming.`account_id`, incoming.`id`, incoming.`status`, incoming.`is_success`, incoming.`trigger`, incoming.`duration_seconds`, incoming.`asset_key`, incoming.`dagster_run_id`, incoming.`loaded_at`, incoming.`raw`);
-- :p1 = '[{"account_id": 101, "id": 1, "status": 10, "is_success": true, "trigger": "{\\"cause\\": \\"it\'s\\"}", "loaded_at": "2026-01-02T12:00:00+00:00"}]'

DELETE FROM `main`.`dbt`.`dbt_cloud_incoming` WHERE write_id = :p1 OR sent_at < current_timestamp() - INTERVAL 1 DAY;
-- :p1 = the id of the write
