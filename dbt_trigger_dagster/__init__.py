"""Run dbt Cloud jobs from Dagster: trigger once, wait under a policy, keep everything."""

__version__ = "0.1.0"
