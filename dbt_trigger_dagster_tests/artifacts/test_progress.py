"""How far a run is, from logs in the shapes that dbt and Fusion write them."""

from typing import Any

import pytest

from dbt_trigger_dagster.artifacts.progress import progress_of
from dbt_trigger_dagster.dbt_cloud.models import Run
from dbt_trigger_dagster_tests.payloads import run_payload, step_payload

BUILD = "step 4: Invoke dbt with `dbt build`"


def a_run(*steps: dict[str, Any]) -> Run:
    """A run in flight with these steps."""
    return Run.from_payload(run_payload(3, run_steps=list(steps)))


def core(first: int, last: int, *, total: int = 40, begun: int = 4) -> str:
    """A log of dbt Core's: some nodes done, some more begun."""
    lines = []
    for number in range(first, last + begun + 1):
        model = f"sql table model main.m{number}"
        lines.append(f"07:00:00  {number} of {total} START {model} .. [RUN]")
        if number <= last:
            lines.append(
                f"07:00:01  {number} of {total} OK created {model} [\x1b[32mOK\x1b[0m in 1s]"
            )
    return "\n".join(lines)


FUSION = "\n".join(
    f"{outcome} [  0.{number:02}s] model  main.m{number} (table)"
    for number, outcome in enumerate(["Succeeded"] * 23 + ["   Failed", "  Skipped"])
)
HOOK = "07:00:00  1 of 1 OK hook: shop.on-run-start.0 [OK in 0.1s]\n"


@pytest.mark.parametrize(
    ("logs", "nodes"),
    [
        (core(1, 12), ", 12 of 40 nodes"),
        (core(1, 0), ", 0 of 40 nodes"),
        (core(1, 40, begun=0), ", 40 of 40 nodes"),
        (HOOK + core(1, 3), ", 3 of 40 nodes"),
        (core(30, 35), ", 35 of 40 nodes"),
        (FUSION, ", 25 nodes done"),
        ("07:00:00  Running dbt...", ""),
        ("", ""),
    ],
    ids=["core", "begun", "all", "hooks", "cut off", "fusion", "nothing yet", "left out"],
)
def test_a_log_tells_how_many_nodes_are_done(logs: str, nodes: str) -> None:
    """Of how many, where it says so; a log that dbt Cloud cut off or left out is no trouble."""
    step = step_payload(4, "dbt build", 3, logs=logs)
    assert progress_of(a_run(step_payload(3, "dbt deps", 10), step)) == BUILD + nodes


@pytest.mark.parametrize("steps", [[], [step_payload(4, "dbt build", 10)]])
def test_where_no_step_runs_nothing_is_known(steps: list[dict[str, Any]]) -> None:
    """A queued run has none; between two steps none runs."""
    assert progress_of(a_run(*steps)) == ""
