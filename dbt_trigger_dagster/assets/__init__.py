"""One job's asset graph: trigger_response, run_result, artifacts, and what they need in Dagster.

Knows no HTTP; asks dbt Cloud only by its client.
"""
