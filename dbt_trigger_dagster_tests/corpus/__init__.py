"""Runs of real dbt Core, with what is known of each: what node results are measured by."""
