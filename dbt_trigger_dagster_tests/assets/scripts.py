"""Runs of a small project whose files tell what happened to its nodes."""

import json
from typing import Any

from dbt_trigger_dagster.sandbox import Script, ScriptStep
from dbt_trigger_dagster_tests.artifacts.files import result, results_of

MANIFEST = json.dumps(
    {
        "nodes": {
            "model.shop.orders": {
                "name": "orders",
                "config": {"materialized": "table", "meta": {"owner": "ann"}},
            },
            "model.shop.items": {"name": "items", "config": {"materialized": "view"}},
            "test.shop.unique_id.1": {"name": "unique_id", "attached_node": "model.shop.orders"},
        }
    }
)


def timed(unique_id: str, status: str = "success", seconds: int = 1, **more: Any) -> dict[str, Any]:
    """A result with the times that dbt notes."""
    at = [f"2026-05-28T06:58:{second:02d}.000000Z" for second in (1, 1, 1 + seconds)]
    timing = [
        {"name": "compile", "started_at": at[0], "completed_at": at[1]},
        {"name": "execute", "started_at": at[1], "completed_at": at[2]},
    ]
    return {
        **result(unique_id, status, thread_id="Thread-1", execution_time=float(seconds), **more),
        "timing": timing,
    }


def a_script(*results: dict[str, Any], outcome: str = "success", **files: Any) -> Script:
    """A run of ``dbt build`` with these results."""
    artifacts = {
        "manifest.json": MANIFEST,
        "run_results.json": json.dumps(results_of("build", *results)),
        **{f"{name}.json": json.dumps(content) for name, content in files.items()},
    }
    steps = (
        ScriptStep("Clone git repository", "Cloned."),
        ScriptStep("Invoke dbt with `dbt build`", "Building", artifacts=artifacts),
    )
    return Script(outcome=outcome, steps=steps, artifacts=artifacts)


FAILED = a_script(
    timed("model.shop.orders", "error", 2, message="no such column"),
    timed("model.shop.items", seconds=3),
    result("test.shop.unique_id.1", "skipped"),
    outcome="error",
)
"""A model fails, and its test is skipped."""

FINE = a_script(
    timed("model.shop.orders", seconds=2, adapter_response={"bytes_processed": 1000}),
    timed("model.shop.items", seconds=3),
    timed("test.shop.unique_id.1", "pass"),
)
"""Everything goes well."""
