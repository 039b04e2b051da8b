"""dbt's words for what became of nodes, and which of their results count."""

from collections.abc import Mapping
from typing import Any

GOOD = ("success", "pass")
"""The statuses of nodes that went well."""

FAILED = ("error", "fail", "runtime error", "partial success")
"""Those of nodes that failed."""

NOT_RUN = frozenset({"skipped", "no-op", "reused", "started"})
"""Those of nodes of which nothing ran, or nothing to its end."""

TESTS = frozenset({"test", "unit_test"})
"""The resource types of nodes that test others."""

EXECUTED = "COALESCE(executed, true)"
"""What `is_executed` asks, as a condition in SQL."""


def is_executed(result: Mapping[str, Any]) -> bool:
    """Whether a result is of a command that executes nodes.

    One of a command that is not known counts: better a failure too many is told than one too few.

    Args:
        result: A row of `dbt_cloud_node_result`.
    """
    return result.get("executed") is not False


def in_sql(words: tuple[str, ...]) -> str:
    """Some of these words as a list in SQL."""
    return "(" + ", ".join(f"'{word}'" for word in words) + ")"
