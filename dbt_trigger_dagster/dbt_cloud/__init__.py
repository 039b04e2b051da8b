"""dbt Cloud's Administrative API, usable alone: exactly-once triggers and waiting included.

Knows no Dagster, no table and no file; it alone knows HTTP.
"""
