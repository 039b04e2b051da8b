"""Which errors of nodes may heal by themselves, so that the same command can go well later.

Fusion says of which kind an error is. Core hands on what the database said: so a short list of
kinds, each told by the words of the adapters that dbt Cloud has. What is not in it does not heal:
a retry that cannot help costs more than one that a person starts.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

LOST_CONNECTION, TIMEOUT, THROTTLED = "lost connection", "timeout", "throttled"
DEADLOCK, NO_CAPACITY, EXTERNAL = "deadlock", "no capacity", "external"

_SAID = {
    LOST_CONNECTION: (
        # PostgreSQL, Redshift
        "server closed the connection unexpectedly",
        "SSL connection has been closed unexpectedly",
        "SSL SYSCALL error",
        "could not receive data from server",
        "terminating connection due to",
        "the database system is (?:starting up|shutting down|in recovery mode)",
        "connection (?:is )?already closed",
        # the network, as Python's libraries say it
        "Connection (?:refused|aborted|reset by peer)",
        "Broken pipe",
        "Remote end closed connection",
        "RemoteDisconnected",
        "Temporary failure in name resolution",
        "EOF occurred in violation of protocol",
        # Snowflake, BigQuery, Databricks, SQL Server
        r"HTTP 50[234]\b",
        r"\b50[234] (?:Bad Gateway|Service Unavailable|Gateway Time-?out)",
        "Retrying the job with back-?off",
        "Retrying may solve the problem",
        "TEMPORARILY_UNAVAILABLE",
        "Communication link failure",
        "TCP Provider: Error code",
        "is not currently available. *Please retry the connection later",
    ),
    TIMEOUT: (
        "canceling statement due to (?:statement|lock) timeout",
        "reached its statement or warehouse timeout",
        "Operation did not complete within the designated timeout",
        "(?:connection|login|query|lock) timeout expired",
        "timeout expired$",
        "(?:read|connection|operation) timed out",
        "Lock request time out period exceeded",
        "Lock wait timeout exceeded",
    ),
    THROTTLED: (
        "exceeded rate limits",
        "rate ?limit ?exceeded",
        r"exceeded quota for .*\bper (?:second|minute)",
        "REQUEST_LIMIT_EXCEEDED",
        "ThrottlingException",
        "TooManyRequestsException",
        r"\b429 (?:Client Error: )?Too Many Requests",
        "HTTP 429",
        "service is currently busy",
    ),
    DEADLOCK: (
        "deadlock (?:detected|found|victim)",
        "was deadlocked on lock",
        "could not serialize access",
        "Serializable isolation violation",
        "number of waiters for this lock exceeds",
        "Concurrent(?:Append|DeleteRead|DeleteDelete|Transaction|Modification)Exception",
        "DELTA_(?:CONCURRENT|METADATA_CHANGED)",
    ),
    NO_CAPACITY: (
        "too many clients already",
        "too many connections",
        "remaining connection slots are reserved",
        "Too many queued queries",
        "NO_NODES_AVAILABLE",
        "SERVER_STARTING_UP",
        "CLUSTER_OUT_OF_MEMORY",
        "Query exhausted resources at this scale factor",
        "CLOUD_PROVIDER_RESOURCE_STOCKOUT",
        "INSUFFICIENT_INSTANCE_CAPACITY",
        "compute capacity has exceeded its limits",
    ),
}
_PATTERNS = {
    kind: re.compile("|".join(said), re.IGNORECASE | re.MULTILINE) for kind, said in _SAID.items()
}


def kind_of_transient(node: Mapping[str, Any]) -> str | None:
    """The kind of a failed node's error that may heal by itself; None of any other error.

    Args:
        node: A record of `NODE_RESULT`'s columns.
    """
    if node.get("status") == "fail":  # a test that has found something
        return None
    if node.get("error_kind"):
        return EXTERNAL if node["error_kind"] == EXTERNAL else None
    said = node.get("message") or ""
    return next((kind for kind, pattern in _PATTERNS.items() if pattern.search(said)), None)


def why_transient(failed: Iterable[Mapping[str, Any]]) -> tuple[bool, str]:
    """Whether all that failed may heal by itself, and in words why, or why not.

    Args:
        failed: The nodes that failed.
    """
    kinds = Counter[str]()
    for node in failed:
        kind = kind_of_transient(node)
        if kind is None:
            name = node.get("name") or node.get("unique_id")
            kind_of_node = node.get("resource_type") or "node"
            return False, f"the error of {kind_of_node} {name} is none that heals by itself"
        kinds[kind] += 1
    if not kinds:
        return False, "no node is known that failed"
    counts = ", ".join(f"{number} of {kind}" for kind, number in sorted(kinds.items()))
    return True, f"the error of every node may heal by itself: {counts}"
