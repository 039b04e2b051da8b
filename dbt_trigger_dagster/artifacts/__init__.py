"""What dbt leaves behind: which artifacts a run has, and their way into the store.

Knows no Dagster; asks dbt Cloud only by its client.
"""
