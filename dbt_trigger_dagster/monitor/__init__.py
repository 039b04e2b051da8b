"""Runs that nobody waits for: one sensor finds those that are over and has them landed.

Knows no HTTP; asks dbt Cloud only by its client.
"""
