"""What decided how long a step took."""

from datetime import datetime, timedelta, timezone
from typing import Any

from dbt_trigger_dagster.artifacts.critical_path import find_timing

_START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def _node(name, start, end, **more: Any) -> dict[str, Any]:
    """A node that ran from one second to another."""
    return {
        "unique_id": name,
        "execute_started_at": _START + timedelta(seconds=start),
        "execute_completed_at": _START + timedelta(seconds=end),
        **more,
    }


def test_the_critical_path_is_the_longest_chain_of_dependent_nodes() -> None:
    """Not the longest node, and not what merely came before."""
    timing = find_timing(
        [_node("a", 0, 4), _node("b", 4, 9), _node("long", 0, 8), _node("c", 9, 10)],
        {"b": ["a"], "c": ["b", "long"]},
    )
    assert timing is not None
    assert timing.critical_path == ("a", "b", "c")
    assert timing.critical_path_seconds == 10
    assert timing.busy_seconds == 10
    assert timing.peak_concurrency == 2
    assert timing.average_concurrency == 1.8


def test_ephemeral_models_link_what_is_built() -> None:
    """They have no results, and take no time; of them the path does not tell."""
    timing = find_timing(
        [_node("a", 0, 1), _node("b", 1, 2)], {"b": ["ephemeral"], "ephemeral": ["a"]}
    )
    assert timing is not None
    assert timing.critical_path == ("a", "b")


def test_compiling_and_executing_are_not_added() -> None:
    """Fusion says the same interval for both."""
    both = {
        "compile_started_at": "2026-01-01T00:00:00Z",
        "compile_completed_at": "2026-01-01T00:00:05Z",
    }
    timing = find_timing([_node("a", 0, 5, **both)], {})
    assert timing is not None
    assert timing.critical_path_seconds == 5
    assert timing.peak_concurrency == 1


def test_skipped_nodes_take_no_time() -> None:
    """Where all are skipped there is nothing to tell."""
    skipped = {"unique_id": "b", "execute_started_at": None}
    timing = find_timing([_node("a", 0, 1), skipped], {"b": ["a"]})
    assert timing is not None
    assert timing.critical_path == ("a",)
    assert find_timing([skipped], {}) is None


def test_nodes_that_follow_each_other_do_not_overlap() -> None:
    """One ends in the moment in which the next starts; idle time counts for nothing."""
    timing = find_timing(
        [_node("a", 0, 1), _node("b", 1, 2), _node("c", 5, 6), _node("d", 3, 3)], {}
    )
    assert timing is not None
    assert (timing.peak_concurrency, timing.busy_seconds) == (1, 3)
    assert timing.average_concurrency == 1


def test_a_circle_and_a_very_long_chain_are_no_error() -> None:
    """A manifest of another project, or a broken one, may say anything."""
    circle = find_timing([_node("a", 0, 1), _node("b", 1, 2)], {"a": ["b"], "b": ["a"]})
    assert circle is not None
    assert set(circle.critical_path) <= {"a", "b"}
    nodes = [_node(f"n{n}", n, n + 1) for n in range(5000)]
    chain = find_timing(nodes, {f"n{n}": [f"n{n - 1}"] for n in range(1, 5000)})
    assert chain is not None
    assert len(chain.critical_path) == 5000
