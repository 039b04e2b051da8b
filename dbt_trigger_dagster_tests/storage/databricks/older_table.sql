DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run` AS JSON;

DESCRIBE SCHEMA `main`.`dbt`;

CREATE SCHEMA IF NOT EXISTS `main`.`dbt`;

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_incoming` AS JSON;

CREATE TABLE IF NOT EXISTS `main`.`dbt`.`dbt_cloud_incoming` (write_id STRING, table_name STRING, piece STRING, sent_at TIMESTAMP) TBLPROPERTIES ('delta.enableDeletionVectors' = 'false');

DESCRIBE TABLE EXTENDED `main`.`dbt`.`dbt_cloud_run` AS JSON;

ALTER TABLE `main`.`dbt`.`dbt_cloud_run` ADD COLUMN `status` BIGINT;

ALTER TABLE `main`.`dbt`.`dbt_cloud_run` ADD COLUMN `is_success` BOOLEAN;

ALTER TABLE `main`.`dbt`.`dbt_cloud_run` ADD COLUMN `trigger` STRING;

ALTER TABLE `main`.`dbt`.`dbt_cloud_run` ADD COLUMN `duration_seconds` BIGINT;

ALTER TABLE `main`.`dbt`.`dbt_cloud_run` ADD COLUMN `asset_key` STRING;

ALTER TABLE `main`.`dbt`.`dbt_cloud_run` ADD COLUMN `dagster_run_id` STRING;

ALTER TABLE `main`.`dbt`.`dbt_cloud_run` ADD COLUMN `loaded_at` TIMESTAMP;
