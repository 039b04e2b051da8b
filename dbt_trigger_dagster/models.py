"""What dbt Cloud's API speaks of, as values: runs, jobs, steps, trigger requests.

Unknown fields and unknown statuses are never an error: the whole payload travels along as
``payload``, and only what this package acts on is parsed.
"""

from enum import IntEnum


class RunStatus(IntEnum):
    """The status codes of dbt Cloud's runs and run steps."""

    QUEUED = 1
    STARTING = 2
    RUNNING = 3
    SUCCESS = 10
    ERROR = 20
    CANCELLED = 30
