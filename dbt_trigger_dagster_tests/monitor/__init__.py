"""The tests of dbt_trigger_dagster: one file for each module."""
