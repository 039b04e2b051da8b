"""Which errors may heal by themselves: told by what adapters say, and by Fusion's own kinds."""

from typing import Any

import pytest

from dbt_trigger_dagster.artifacts.transient import kind_of_transient, why_transient


def a_node(message: str | None = None, status: str = "error", **more: Any) -> dict[str, Any]:
    """A node that failed."""
    node = {"resource_type": "model", "name": "orders", "status": status, "message": message}
    return {**node, **more}


DEADLOCK = "Database Error in model orders (models/orders.sql)\n  deadlock detected\n  DETAIL: …"
SYNTAX = 'Database Error in model orders (models/orders.sql)\n  syntax error at or near "fro"'


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("server closed the connection unexpectedly", "lost connection"),
        ("terminating connection due to administrator command", "lost connection"),
        ("FATAL:  the database system is starting up", "lost connection"),
        ('connection to server at "db", port 5432 failed: Connection refused', "lost connection"),
        ("('Connection aborted.', RemoteDisconnected('Remote end …'))", "lost connection"),
        ("250003: Failed to execute request: HTTP 503: Service Unavailable", "lost connection"),
        (
            "Retrying the job with back-off as described in the BigQuery SLA should solve the …",
            "lost connection",
        ),
        ("canceling statement due to statement timeout", "timeout"),
        (
            "000630 (57014): Statement reached its statement or warehouse timeout of 300 second(s)",
            "timeout",
        ),
        ("Lock request time out period exceeded. (1222)", "timeout"),
        (
            "Exceeded rate limits: too many table update operations for this table.",
            "throttled",
        ),
        ("Job exceeded rate limits: Your table exceeded quota for table updates", "throttled"),
        ("An error occurred (ThrottlingException) when calling", "throttled"),
        (
            "Quota exceeded: Your project exceeded quota for API requests per second",
            "throttled",
        ),
        (DEADLOCK, "deadlock"),
        ("could not serialize access due to concurrent update", "deadlock"),
        ("1023 DETAIL: Serializable isolation violation on table - 1", "deadlock"),
        (
            "was aborted because the number of waiters for this lock exceeds the 20 statements …",
            "deadlock",
        ),
        ("was deadlocked on lock resources with another process", "deadlock"),
        ("[DELTA_CONCURRENT_APPEND] ConcurrentAppendException: Files were added", "deadlock"),
        ("FATAL:  sorry, too many clients already", "no capacity"),
        ("remaining connection slots are reserved for superusers", "no capacity"),
        ("Query exhausted resources at this scale factor", "no capacity"),
        ("Your organization's compute capacity has exceeded its limits", "no capacity"),
    ],
)
def test_what_adapters_say_tells_the_kind(message: str, kind: str) -> None:
    """One sentence, as the adapter hands it on."""
    assert kind_of_transient(a_node(f"Database Error in model orders (a.sql)\n  {message}")) == kind


@pytest.mark.parametrize(
    "message",
    [
        None,
        "",
        SYNTAX,
        "Compilation Error in model orders (models/orders.sql)\n  'ref' is undefined",
        'column "timeout" does not exist',
        'relation "deadlocks" does not exist',
        'FATAL:  password authentication failed for user "dbt"',
        "250001 (08001): Failed to connect to DB: Incorrect username or password was specified.",
        "Quota exceeded: Your project exceeded quota for free query bytes scanned.",
        "Resources exceeded during query execution: The query is too large.",
        "division by zero",
    ],
)
def test_anything_else_does_not_heal_by_itself(message: str | None) -> None:
    """Code, data, rights and quotas of a day; what says nothing too."""
    assert kind_of_transient(a_node(message)) is None


def test_fusions_own_kind_counts_before_the_words() -> None:
    """EXTERNAL heals, and a user's error does not, whatever its sentence is."""
    assert kind_of_transient(a_node(SYNTAX, error_kind="external")) == "external"
    assert kind_of_transient(a_node("deadlock detected", error_kind="user")) is None


def test_a_test_that_has_found_something_does_not_heal() -> None:
    """Though its rows may speak of a deadlock."""
    assert kind_of_transient(a_node("deadlock detected", status="fail")) is None


def test_all_that_failed_has_to_heal() -> None:
    """One node that does not is named, and nothing known is no reason either."""
    assert why_transient([a_node(DEADLOCK), a_node(error_kind="external")]) == (
        True,
        "the error of every node may heal by itself: 1 of deadlock, 1 of external",
    )
    assert why_transient([a_node(DEADLOCK), a_node(SYNTAX, name="customers")]) == (
        False,
        "the error of model customers is none that heals by itself",
    )
    assert why_transient([]) == (False, "no node is known that failed")
