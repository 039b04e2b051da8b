"""Runs of a small project whose files tell what happened to its nodes."""

import json
from datetime import datetime, timedelta
from typing import Any

from dbt_trigger_dagster.sandbox import Script, ScriptStep
from dbt_trigger_dagster.sandbox.account.scripts import ScriptOutcome
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


def a_script(*results: dict[str, Any], outcome: ScriptOutcome = "success", **files: Any) -> Script:
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


def a_large_script(nodes: int, failed: int = 0) -> Script:
    """A run of many models on eight threads, of which some fail with a message of usual length."""
    bad = range(0, nodes, nodes // failed) if failed else ()
    message = "Database Error in model a (models/a.sql)\n" + "relation is not there " * 5
    results = []
    for number in range(nodes):
        status, said = ("error", message) if number in bad else ("success", "OK")
        began = datetime(2026, 5, 28, 6) + timedelta(seconds=number // 8 * 1.3)  # noqa: DTZ001  # as dbt writes it
        at = [f"{began + timedelta(seconds=s):%Y-%m-%dT%H:%M:%S.%fZ}" for s in (0, 0.1, 1.2)]
        timing = [
            {"name": name, "started_at": at[phase], "completed_at": at[phase + 1]}
            for phase, name in enumerate(("compile", "execute"))
        ]
        thread = f"Thread-{number % 8 + 1} (worker)"
        told = result(_model(number), status, message=said, thread_id=thread, execution_time=1.2)
        results.append({**told, "timing": timing})
    owned = {"config": {"materialized": "table", "meta": {"owner": "ann"}}}
    manifest = {"nodes": {_model(number): owned for number in range(nodes)}}
    return a_script(*results, outcome="error" if failed else "success", manifest=manifest)


def _model(number: int) -> str:
    return f"model.shop.model_number_{number}"


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
