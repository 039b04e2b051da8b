-- The database of dbt Cloud's tables, beside Dagster's own: DBT_TRIGGER_DATABASE names it.
CREATE DATABASE dbt_cloud;
